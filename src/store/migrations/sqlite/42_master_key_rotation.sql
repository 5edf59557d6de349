-- With which master key the API keys of a connection are encrypted: the word that recognizes it, or nothing if they are not all
-- encrypted with one. While the master key is replaced, the new one is kept here, encrypted with the former one.
ALTER TABLE connections ADD COLUMN key_id TEXT NOT NULL DEFAULT '';

UPDATE connections SET key_id = COALESCE((SELECT value FROM facts WHERE name = 'master_key'), '') WHERE successor IS NULL;

CREATE TABLE master_key_rotation (
    id                BIGINT PRIMARY KEY,
    from_key          TEXT NOT NULL,
    to_key            TEXT NOT NULL,
    key_nonce         BLOB NOT NULL,
    key_ciphertext    BLOB NOT NULL,
    key_bound_to      TEXT NOT NULL,
    holder            TEXT NOT NULL,
    lease_until       BIGINT NOT NULL,
    started_at        BIGINT NOT NULL,
    done_at           BIGINT
);
