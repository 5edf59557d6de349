-- The name of the source whose cases the cases of a batch are: the key of its source, or what names the source of the batch
-- that it replaces. Rows from before have none, and nothing can replace them.
ALTER TABLE batches ADD COLUMN source TEXT;
-- That of the batch that it replaces, if it has another one.
ALTER TABLE batches ADD COLUMN replaced TEXT;

-- What a batch did with cases of its source that it does not have any more: JSON, in the form of `batch::ledger::Dropped`.
ALTER TABLE batches ADD COLUMN dropped TEXT;
