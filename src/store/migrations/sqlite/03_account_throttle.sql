-- What an account bears is one value, which is changed by one function; people's orders stand beside it.

ALTER TABLE accounts ADD COLUMN pace TEXT NOT NULL DEFAULT '{}';
ALTER TABLE accounts DROP COLUMN gate_until;
ALTER TABLE accounts DROP COLUMN gate_set_at;
ALTER TABLE accounts DROP COLUMN concurrency;
ALTER TABLE accounts DROP COLUMN probe_until;
ALTER TABLE accounts DROP COLUMN breaker_until;
ALTER TABLE accounts DROP COLUMN paused;

CREATE TABLE lane_orders (
    kind              TEXT NOT NULL,
    name              TEXT NOT NULL,
    paused            BIGINT NOT NULL,
    most              BIGINT,
    PRIMARY KEY (kind, name)
);

ALTER TABLE pushes ADD COLUMN lease_until BIGINT NOT NULL DEFAULT 0;

CREATE INDEX pushes_under_way ON pushes (account) WHERE ended_at IS NULL;
CREATE INDEX shelf_by_arrival ON shelf (tenant_id, state, arrived_at, id);
CREATE INDEX shelf_by_tenant_due ON shelf (tenant_id, state, waits_for, due_at);
CREATE INDEX shelf_skimmed ON shelf (tenant_id) WHERE state = 'parked' AND reason IN ('no_room', 'throttled', 'paused');
