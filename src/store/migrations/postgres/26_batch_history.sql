-- What happened to a batch beside its requests and events: waits, retries and reconciliations. Places of a batch ascend from
-- 1; only the latest ones are kept.
CREATE TABLE batch_history (
    tenant_id         TEXT COLLATE "C" NOT NULL,
    batch_id          TEXT COLLATE "C" NOT NULL,
    place             BIGINT NOT NULL,
    kind              TEXT NOT NULL,
    reason            TEXT,
    detail            TEXT,
    facts             TEXT,
    first_at          BIGINT NOT NULL,
    last_at           BIGINT NOT NULL,
    until_at          BIGINT,
    times             BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, batch_id, place)
);

CREATE INDEX batch_history_by_time ON batch_history (last_at, tenant_id, batch_id);

-- What Testmo answered to a create request that did not succeed, in words.
ALTER TABLE pushes ADD COLUMN detail TEXT;
-- When the message of a batch was published and first arrived, as far as known when the batch was first claimed.
ALTER TABLE batches ADD COLUMN published_at BIGINT;
ALTER TABLE batches ADD COLUMN arrived_at BIGINT;
