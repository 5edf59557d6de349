-- Lists, totals and ages of what waits are read by an index, however much is stored. The second one is on an expression,
-- so that no list takes it in place of an index that has its order.
CREATE INDEX batches_by_tenant_and_arrival ON batches (tenant_id, first_seen_at);
CREATE INDEX shelf_oldest ON shelf ((state || ':' || reason), arrived_at);
CREATE INDEX shelf_failing ON shelf (reason, failing_since) WHERE state = 'parked' AND failing_since IS NOT NULL;
