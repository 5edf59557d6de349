-- What the last probe of a connection found, and the case that it may have left in Testmo.
ALTER TABLE connections ADD COLUMN probe TEXT;
