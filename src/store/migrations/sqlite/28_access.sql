-- Tokens of people and programs, short-lived links for one tenant, and what requests with an Idempotency-Key were answered.
-- Of a secret only its SHA-256 is kept.

CREATE TABLE tokens (
    name              TEXT PRIMARY KEY,
    hash              TEXT NOT NULL UNIQUE,
    role              TEXT NOT NULL,
    tenant_id         TEXT,
    created_at        BIGINT NOT NULL,
    created_by        TEXT NOT NULL,
    expires_at        BIGINT,
    revoked_at        BIGINT,
    last_used_at      BIGINT
) WITHOUT ROWID;

CREATE TABLE tenant_links (
    id                TEXT PRIMARY KEY,
    hash              TEXT NOT NULL UNIQUE,
    tenant_id         TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    created_by        TEXT NOT NULL,
    expires_at        BIGINT NOT NULL,
    revoked_at        BIGINT
) WITHOUT ROWID;

CREATE INDEX tenant_links_by_tenant ON tenant_links (tenant_id, created_at);
CREATE INDEX tenant_links_by_end ON tenant_links (expires_at);

CREATE TABLE answered_requests (
    token             TEXT NOT NULL,
    request_key       TEXT NOT NULL,
    request_hash      TEXT NOT NULL,
    begun_at          BIGINT NOT NULL,
    status            BIGINT,
    body              TEXT,
    PRIMARY KEY (token, request_key)
) WITHOUT ROWID;

CREATE INDEX answered_requests_by_time ON answered_requests (begun_at);
