-- Why something is on the shelf, apart from names and numbers, as a hash. Entries of one cause are counted and listed by the
-- index alone.
ALTER TABLE shelf ADD COLUMN cause BIGINT;
CREATE INDEX shelf_by_cause ON shelf (cause, arrived_at, id, state, tenant_id, shelved_at);
