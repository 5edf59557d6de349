-- What people have changed. Rows are only added, and removed with what is older than the retention of the audit.
CREATE TABLE audit (
    id                BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at                BIGINT NOT NULL,
    actor             TEXT NOT NULL,
    role              TEXT NOT NULL,
    face              TEXT NOT NULL,
    action            TEXT NOT NULL,
    tenant_id         TEXT,
    batch_id          TEXT,
    subject           TEXT NOT NULL,
    reason            TEXT,
    state_before      TEXT,
    state_after       TEXT
);

CREATE INDEX audit_by_tenant ON audit (tenant_id, at, id);
CREATE INDEX audit_by_batch ON audit (tenant_id, batch_id, at, id);
CREATE INDEX audit_by_actor ON audit (actor, at, id);
CREATE INDEX audit_by_action ON audit (action, at, id);
CREATE INDEX audit_by_subject ON audit (subject, at, id);
CREATE INDEX audit_by_time ON audit (at, id);
