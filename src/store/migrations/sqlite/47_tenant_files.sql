-- The file that a connection was taken from, and a hash of what it held; nothing for a connection that a person has entered.
ALTER TABLE connections ADD COLUMN source TEXT;
