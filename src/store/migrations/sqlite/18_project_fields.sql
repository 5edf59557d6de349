-- The custom fields that the project of a connection was seen to have, and what each holds; NULL where an earlier version
-- noted nothing.

ALTER TABLE connections ADD COLUMN fields TEXT;
