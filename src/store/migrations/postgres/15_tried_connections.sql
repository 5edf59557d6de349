-- What a request of a batch was refused with, until a case arrives; and a connection that was entered to succeed a verified
-- one, which stays in force until its successor is verified.

ALTER TABLE connections ADD COLUMN refusal TEXT;
ALTER TABLE connections ADD COLUMN successor TEXT;
