-- Batches and events are long and have random names: by those only short rows of an index are sorted, while the long
-- ones are written one after the other, so that a commit changes few pages.

CREATE TABLE batches_in_order (
    tenant_id         TEXT NOT NULL,
    batch_id          TEXT NOT NULL,
    fingerprint       TEXT NOT NULL,
    state             TEXT NOT NULL,
    revision          BIGINT NOT NULL,
    epoch             BIGINT NOT NULL,
    targets           TEXT NOT NULL,
    cases             TEXT NOT NULL,
    open_push         TEXT,
    doubt_since       BIGINT,
    claimed_at        BIGINT,
    lease_until       BIGINT,
    first_seen_at     BIGINT NOT NULL,
    settled_at        BIGINT,
    pruned_at         BIGINT,
    late_since        BIGINT,
    look_after        BIGINT,
    PRIMARY KEY (tenant_id, batch_id)
);

INSERT INTO batches_in_order (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push,
    doubt_since, claimed_at, lease_until, first_seen_at, settled_at, pruned_at, late_since, look_after)
SELECT tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push,
    doubt_since, claimed_at, lease_until, first_seen_at, settled_at, pruned_at, late_since, look_after
FROM batches ORDER BY first_seen_at;

DROP TABLE batches;
ALTER TABLE batches_in_order RENAME TO batches;

CREATE INDEX batches_by_arrival ON batches (first_seen_at);
CREATE INDEX batches_to_prune ON batches (settled_at) WHERE settled_at IS NOT NULL AND pruned_at IS NULL;
CREATE INDEX batches_in_doubt ON batches (doubt_since) WHERE doubt_since IS NOT NULL;
CREATE INDEX batches_to_look_for ON batches (settled_at) WHERE late_since IS NOT NULL;

CREATE TABLE outbox_in_order (
    event_id          TEXT PRIMARY KEY NOT NULL,
    kind              TEXT NOT NULL,
    routing_key       TEXT NOT NULL,
    subject           TEXT NOT NULL,
    body              TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    due_at            BIGINT NOT NULL,
    sent_at           BIGINT
);

INSERT INTO outbox_in_order (event_id, kind, routing_key, subject, body, created_at, due_at, sent_at)
SELECT event_id, kind, routing_key, subject, body, created_at, due_at, sent_at FROM outbox ORDER BY created_at;

DROP TABLE outbox;
ALTER TABLE outbox_in_order RENAME TO outbox;

CREATE INDEX outbox_unsent ON outbox (due_at) WHERE sent_at IS NULL;
CREATE INDEX outbox_by_subject ON outbox (subject);
CREATE INDEX outbox_by_age ON outbox (created_at);
