-- Nothing that is asked at every poll of the shelf reads more of it than it tells, however much waits there.
DROP INDEX shelf_by_due;
DROP INDEX shelf_by_tenant;
DROP INDEX shelf_skimmed;
CREATE INDEX shelf_by_state ON shelf (state, tenant_id, reason);
CREATE INDEX shelf_suspects ON shelf (state, arrived_at, id) WHERE reason = 'suspect';
CREATE INDEX shelf_skimmed ON shelf (tenant_id, failing_since)
    WHERE state = 'parked' AND reason IN ('no_room', 'throttled', 'paused');
