-- How many cases the batches of a group have, and what people note about a group. The index has all that a count needs.
ALTER TABLE shelf ADD COLUMN cases BIGINT;
DROP INDEX shelf_by_cause;
CREATE INDEX shelf_by_cause ON shelf (cause, arrived_at, id, state, tenant_id, shelved_at, cases);
CREATE INDEX shelf_uncounted ON shelf (id) WHERE cases IS NULL;

CREATE TABLE cause_notes (
    cause             BIGINT PRIMARY KEY,
    note              TEXT NOT NULL,
    actor             TEXT NOT NULL,
    at                BIGINT NOT NULL
);
