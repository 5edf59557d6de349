-- What has been settled for long loses its weight; these find it.

ALTER TABLE batches ADD COLUMN pruned_at BIGINT;

CREATE INDEX batches_to_prune ON batches (settled_at) WHERE settled_at IS NOT NULL AND pruned_at IS NULL;
CREATE INDEX batches_in_doubt ON batches (doubt_since) WHERE doubt_since IS NOT NULL;
CREATE INDEX push_parts_by_push ON push_parts (push_id);
CREATE INDEX shelf_by_batch ON shelf (tenant_id, batch_id);
CREATE INDEX outbox_by_age ON outbox (created_at);
