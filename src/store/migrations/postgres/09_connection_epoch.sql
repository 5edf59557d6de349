-- A connection is changed only where its epoch is the one that the change started from; and while a person removes a
-- tenant, its work is paused for a limited time.

ALTER TABLE connections ADD COLUMN epoch BIGINT NOT NULL DEFAULT 1;
ALTER TABLE connections ADD COLUMN removing_until BIGINT;

CREATE INDEX connections_removing ON connections (tenant_id, removing_until) WHERE removing_until IS NOT NULL;
