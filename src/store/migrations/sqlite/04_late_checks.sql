-- Batches whose cases were sent again after an unclear end: once they have arrived, there is one more look.

ALTER TABLE batches ADD COLUMN late_since BIGINT;
ALTER TABLE batches ADD COLUMN look_after BIGINT;

CREATE INDEX batches_to_look_for ON batches (settled_at) WHERE late_since IS NOT NULL;
