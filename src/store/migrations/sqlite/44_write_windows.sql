-- Cases that are about to be written or were, with the entries of their histories that were known before: compressed JSON, one
-- row for each claim, until it was checked whether an edit by a person was overwritten.
CREATE TABLE write_windows (
    tenant_id         TEXT NOT NULL,
    batch_id          TEXT NOT NULL,
    epoch             BIGINT NOT NULL,
    opened_at         BIGINT NOT NULL,
    look_after        BIGINT NOT NULL,
    body              BLOB NOT NULL,
    PRIMARY KEY (tenant_id, batch_id, epoch)
) WITHOUT ROWID;

CREATE INDEX write_windows_due ON write_windows (look_after);
