-- Groups of the shelf are counted in the order of this index, by the index alone and without sorting.
CREATE INDEX shelf_by_share ON shelf (cause, state, tenant_id, arrived_at, shelved_at, cases);
