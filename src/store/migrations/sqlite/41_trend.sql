-- How many batches were delivered, failed and waited in a step of time, summed over all workers. Steps of each width, in
-- milliseconds, are removed once they are old, so that the table stays small.
CREATE TABLE trend (
    width             BIGINT NOT NULL,
    began_at          BIGINT NOT NULL,
    delivered         BIGINT NOT NULL,
    failed            BIGINT NOT NULL,
    waiting           BIGINT NOT NULL,
    PRIMARY KEY (width, began_at)
) WITHOUT ROWID;
