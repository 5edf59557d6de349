-- How often the store was set back to a copy of itself, and what each copy was.
CREATE TABLE restores (
    number            BIGINT PRIMARY KEY,
    copied_at         BIGINT NOT NULL,
    latest_at         BIGINT NOT NULL,
    until             BIGINT NOT NULL,
    noted_at          BIGINT NOT NULL
) WITHOUT ROWID;

-- How many restores a batch takes into account: it is looked up in Testmo while that is less than all of them.
ALTER TABLE batches ADD COLUMN restores BIGINT NOT NULL DEFAULT 0;
