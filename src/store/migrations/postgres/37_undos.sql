-- What people take back of batches, and how far that has come. `number` is the epoch of the record that began it.
CREATE TABLE undos (
    tenant_id         TEXT NOT NULL,
    batch_id          TEXT NOT NULL,
    number            BIGINT NOT NULL,
    kind              TEXT NOT NULL,
    how               TEXT NOT NULL,
    state_before      TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    ended_at          BIGINT,
    PRIMARY KEY (tenant_id, batch_id, number)
);

-- The rows in Testmo that an undo is about, with what each was before.
CREATE TABLE undo_items (
    tenant_id         TEXT NOT NULL,
    batch_id          TEXT NOT NULL,
    number            BIGINT NOT NULL,
    place             BIGINT NOT NULL,
    body              TEXT NOT NULL,
    PRIMARY KEY (tenant_id, batch_id, number, place)
);
