-- What batches are found by: one row for each batch, and one for each entry of the shelf whose batch is not known or is in
-- conflict. A worker fills them in from what is stored anyway, apart from the work. Newer rows have higher numbers.
CREATE TABLE search (
    seq               BIGINT PRIMARY KEY,
    tenant_id         TEXT COLLATE "C" NOT NULL,
    batch_id          TEXT COLLATE "C" NOT NULL,
    shelf_id          BIGINT NOT NULL,
    known_at          BIGINT NOT NULL,
    lines             TEXT NOT NULL,
    letters           TEXT NOT NULL,
    text              TEXT COLLATE "C" NOT NULL
);

CREATE UNIQUE INDEX search_by_name ON search (batch_id, shelf_id, tenant_id);
CREATE INDEX search_by_age ON search (known_at, seq);
CREATE INDEX search_by_tenant ON search (tenant_id, seq);

-- Trigrams need an extension that not every user may create; without it, beginnings of words are found.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX search_by_trigram ON search USING gin (text gin_trgm_ops);
EXCEPTION WHEN OTHERS THEN
    CREATE INDEX search_by_word ON search USING gin (to_tsvector('pg_catalog.simple', text));
END
$$;

-- How far it is filled: from the events that were stored before a time backwards, and from those that came later forwards.
CREATE TABLE search_progress (
    id                BIGINT PRIMARY KEY,
    epoch             BIGINT NOT NULL,
    holder            TEXT,
    lease_until       BIGINT NOT NULL,
    first_seq         BIGINT NOT NULL,
    next_seq          BIGINT NOT NULL,
    later_at          BIGINT NOT NULL,
    later_subject     TEXT COLLATE "C" NOT NULL,
    later_event       TEXT COLLATE "C" NOT NULL,
    earlier_at        BIGINT,
    earlier_subject   TEXT COLLATE "C" NOT NULL,
    earlier_event     TEXT COLLATE "C" NOT NULL
);

INSERT INTO search_progress (id, epoch, lease_until, first_seq, next_seq, later_at, later_subject, later_event, earlier_at,
    earlier_subject, earlier_event)
SELECT 1, 1, 0, 1099511627776, 1099511627776, start, '', '', start, '', ''
FROM (SELECT COALESCE(MAX(created_at), 0) - 60000 AS start FROM outbox) AS newest;

ALTER TABLE shelf ADD COLUMN searched BIGINT;
CREATE INDEX shelf_to_search ON shelf (id) WHERE searched IS NULL;

-- Batches in the states that are rare are listed without reading those that were delivered.
CREATE INDEX batches_in_rare_states ON batches (state, first_seen_at)
    WHERE state IN ('partial', 'failed', 'discarded', 'undone');
CREATE INDEX batches_of_tenant_in_rare_states ON batches (tenant_id, state, first_seen_at)
    WHERE state <> 'open' AND state <> 'delivered';
CREATE INDEX batches_not_finished ON batches (first_seen_at) WHERE settled_at IS NULL;
