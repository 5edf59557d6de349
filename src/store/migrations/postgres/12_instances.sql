-- How the processes of each worker ended, and the messages over which one may have ended, by hash.

CREATE TABLE instances (
    name              TEXT PRIMARY KEY,
    state             TEXT NOT NULL,
    started_at        BIGINT NOT NULL
);

CREATE TABLE suspicions (
    hash              TEXT PRIMARY KEY,
    suspected_at      BIGINT NOT NULL
);
