-- Whether the tenant was notified that the connection failed, and not yet that it works again; NULL where an earlier
-- version noted nothing.
ALTER TABLE connections ADD COLUMN failure_reported BIGINT;
-- Batches of tenants that have no connection are looked at again from time to time.
CREATE INDEX shelf_of_unknown_tenants ON shelf (tenant_id, due_at) WHERE reason = 'unknown_tenant';
