-- Times are milliseconds since 1970 on the store's clock.

CREATE TABLE connections (
    tenant_id         TEXT PRIMARY KEY,
    version           TEXT NOT NULL,
    origin            TEXT NOT NULL,
    key_nonce         BLOB NOT NULL,
    key_ciphertext    BLOB NOT NULL,
    key_bound_to      TEXT NOT NULL,
    expires_on        TEXT,
    project_id        BIGINT NOT NULL,
    folder_id         BIGINT NOT NULL,
    mapping           TEXT NOT NULL,
    resolved_mapping  TEXT,
    verified_version  TEXT,
    verified_at       BIGINT,
    checked_at        BIGINT,
    finding           TEXT,
    recheck_at        BIGINT,
    rechecks          BIGINT NOT NULL DEFAULT 0,
    last_success_at   BIGINT,
    changed_at        BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE accounts (
    account           TEXT PRIMARY KEY,
    gate_until        BIGINT,
    gate_set_at       BIGINT,
    concurrency       DOUBLE PRECISION,
    probe_until       BIGINT,
    breaker_until     BIGINT,
    paused            BIGINT NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE batches (
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
    PRIMARY KEY (tenant_id, batch_id)
) WITHOUT ROWID;

CREATE INDEX batches_by_arrival ON batches (first_seen_at);

CREATE TABLE pushes (
    push_id           TEXT PRIMARY KEY,
    account           TEXT NOT NULL,
    project_id        BIGINT NOT NULL,
    folder_id         BIGINT NOT NULL,
    tenant_id         TEXT NOT NULL,
    connection        TEXT NOT NULL,
    batches           TEXT NOT NULL,
    cases             BIGINT NOT NULL,
    holder            TEXT NOT NULL,
    claimed_at        BIGINT NOT NULL,
    ended_at          BIGINT,
    answer            TEXT,
    first_id          BIGINT,
    last_id           BIGINT
) WITHOUT ROWID;

CREATE INDEX pushes_by_ids ON pushes (account, last_id);

CREATE TABLE push_parts (
    tenant_id         TEXT NOT NULL,
    batch_id          TEXT NOT NULL,
    push_id           TEXT NOT NULL,
    PRIMARY KEY (tenant_id, batch_id, push_id)
) WITHOUT ROWID;

CREATE TABLE shelf (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    identity          TEXT NOT NULL UNIQUE,
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
    lease_until       BIGINT,
    holder            TEXT,
    headers           TEXT NOT NULL,
    body              BLOB NOT NULL
);

CREATE INDEX shelf_by_due ON shelf (state, due_at);
CREATE INDEX shelf_by_tenant ON shelf (tenant_id, state);

CREATE TABLE folder_claims (
    account           TEXT NOT NULL,
    project_id        BIGINT NOT NULL,
    parent_id         BIGINT NOT NULL,
    name              TEXT NOT NULL,
    holder            TEXT NOT NULL,
    lease_until       BIGINT NOT NULL,
    PRIMARY KEY (account, project_id, parent_id, name)
) WITHOUT ROWID;

CREATE TABLE outbox (
    event_id          TEXT PRIMARY KEY,
    kind              TEXT NOT NULL,
    routing_key       TEXT NOT NULL,
    subject           TEXT NOT NULL,
    body              TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    due_at            BIGINT NOT NULL,
    sent_at           BIGINT
) WITHOUT ROWID;

CREATE INDEX outbox_unsent ON outbox (due_at) WHERE sent_at IS NULL;
CREATE INDEX outbox_by_subject ON outbox (subject);

CREATE TABLE facts (
    name              TEXT PRIMARY KEY,
    value             TEXT NOT NULL
) WITHOUT ROWID;
