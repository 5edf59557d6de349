-- The batch that writes the cases of a source, until it is finished, and the latest generation that was written before. A
-- source is the first half of the identities of its cases. Days are counted since 1970.
CREATE TABLE sources (
    source            BLOB PRIMARY KEY,
    tenant_id         TEXT NOT NULL,
    batch_id          TEXT NOT NULL,
    generated_at      BIGINT NOT NULL,
    claimed_on        BIGINT NOT NULL,
    latest_at         BIGINT,
    latest_batch      TEXT
) WITHOUT ROWID;

CREATE INDEX sources_by_day ON sources (claimed_on);

-- What Testmo showed of cases before fields of theirs were written: compressed JSON, one row for each claim.
CREATE TABLE former_values (
    tenant_id         TEXT NOT NULL,
    batch_id          TEXT NOT NULL,
    epoch             BIGINT NOT NULL,
    body              BLOB NOT NULL,
    PRIMARY KEY (tenant_id, batch_id, epoch)
) WITHOUT ROWID;
