-- Nothing that a worker reads at its start or at a poll, and no page of a list, costs more the more is stored.
CREATE INDEX shelf_leased ON shelf (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX shelf_by_connection ON shelf (tenant_id, state, waits_for, connection, shelved_at)
    WHERE waits_for = 'connection';
CREATE INDEX shelf_by_age ON shelf (arrived_at, id);
CREATE INDEX shelf_by_state_and_age ON shelf (state, arrived_at, id);
CREATE INDEX shelf_by_reason_and_age ON shelf (reason, arrived_at, id);
