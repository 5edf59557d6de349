-- What people have taken off the shelf, as it was, until its time is over; and the fingerprints of the messages from which a
-- person made the present message of a batch, as a JSON list.
ALTER TABLE batches ADD COLUMN edited_from TEXT;

CREATE TABLE discarded (
    id                BIGINT PRIMARY KEY,
    identity          TEXT NOT NULL,
    generation        BIGINT NOT NULL,
    state             TEXT NOT NULL,
    reason            TEXT NOT NULL,
    detail            TEXT,
    tenant_id         TEXT,
    batch_id          TEXT,
    account           TEXT,
    connection        TEXT,
    waits_for         TEXT NOT NULL,
    due_at            BIGINT NOT NULL,
    parks             BIGINT NOT NULL,
    failing_since     BIGINT,
    arrived_at        BIGINT NOT NULL,
    published_at      BIGINT,
    shelved_at        BIGINT NOT NULL,
    headers           TEXT NOT NULL,
    body              BLOB NOT NULL,
    cause             BIGINT,
    cases             BIGINT,
    person_epoch      BIGINT NOT NULL,
    discarded_at      BIGINT NOT NULL,
    discarded_by      TEXT NOT NULL,
    discarded_because TEXT
);

CREATE INDEX discarded_by_time ON discarded (discarded_at, id);
CREATE INDEX discarded_by_tenant ON discarded (tenant_id, discarded_at, id);
CREATE INDEX discarded_by_batch ON discarded (tenant_id, batch_id);
