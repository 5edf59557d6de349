-- The highest id of a case that was known in the account before the first request began whose outcome is unknown.
ALTER TABLE batches ADD COLUMN floor BIGINT;
