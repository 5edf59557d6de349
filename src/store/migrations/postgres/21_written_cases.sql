-- What was written of each case that has an identity, so that it is recognized later. Cases of one source have the same
-- first half of their identity, so that a request changes few pages. Days are counted since 1970.
CREATE TABLE written_cases (
    identity          BYTEA PRIMARY KEY,
    testmo_id         BIGINT NOT NULL,
    folder_id         BIGINT NOT NULL,
    batch             BIGINT NOT NULL,
    written_on        BIGINT NOT NULL,
    renderer          BIGINT NOT NULL,
    fields            BYTEA NOT NULL
);

CREATE INDEX written_cases_by_day ON written_cases (written_on);
