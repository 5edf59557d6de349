-- An event is found by what it is about: one index less, and where the names of batches are in order, so is the index,
-- so that a commit changes few pages.

CREATE TABLE outbox_by_subject_and_id (
    event_id          TEXT NOT NULL,
    kind              TEXT NOT NULL,
    routing_key       TEXT NOT NULL,
    subject           TEXT NOT NULL,
    body              TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    due_at            BIGINT NOT NULL,
    sent_at           BIGINT,
    PRIMARY KEY (subject, event_id)
);

INSERT INTO outbox_by_subject_and_id (event_id, kind, routing_key, subject, body, created_at, due_at, sent_at)
SELECT event_id, kind, routing_key, subject, body, created_at, due_at, sent_at FROM outbox ORDER BY created_at;

DROP TABLE outbox;
ALTER TABLE outbox_by_subject_and_id RENAME TO outbox;

CREATE INDEX outbox_unsent ON outbox (due_at) WHERE sent_at IS NULL;
CREATE INDEX outbox_by_age ON outbox (created_at);
