-- The id that creating a folder returned is the folder, whatever Testmo's list shows; and create requests are counted.
ALTER TABLE folder_claims ADD COLUMN counted BIGINT NOT NULL DEFAULT 0;

CREATE TABLE folders (
    account           TEXT COLLATE "C" NOT NULL,
    project_id        BIGINT NOT NULL,
    parent_id         BIGINT NOT NULL,
    name              TEXT COLLATE "C" NOT NULL,
    folder_id         BIGINT,
    shown_as          TEXT,
    known_since       BIGINT,
    requests          TEXT NOT NULL,
    PRIMARY KEY (account, project_id, parent_id, name)
);
