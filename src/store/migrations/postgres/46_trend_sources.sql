-- How many of its additions to the trend a worker has made, by the name of the worker. An addition whose answer was lost is sent
-- again, and is recognized by its number. Workers that have added nothing for long are removed.
CREATE TABLE trend_sources (
    source            TEXT PRIMARY KEY,
    number            BIGINT NOT NULL,
    added_at          BIGINT NOT NULL
);
