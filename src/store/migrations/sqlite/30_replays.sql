-- Replays: which entries of the shelf each of them covers, how far it has come, and what became of each entry.
-- `person_epoch` counts what people did with an entry; `replay` is the replay that has an entry under way.
ALTER TABLE shelf ADD COLUMN person_epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE shelf ADD COLUMN replay BIGINT;

CREATE TABLE replays (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch             BIGINT NOT NULL,
    state             TEXT NOT NULL,
    name              TEXT,
    reason            TEXT,
    selection         TEXT NOT NULL,
    owner             TEXT NOT NULL,
    per_minute        BIGINT,
    most              BIGINT,
    unchanged_too     BIGINT NOT NULL,
    why               TEXT,
    summary           TEXT,
    created_at        BIGINT NOT NULL,
    started_at        BIGINT,
    ended_at          BIGINT,
    holder            TEXT,
    lease_until       BIGINT
);

CREATE INDEX replays_running ON replays (id) WHERE state = 'running';

-- A part is what a replay covers of one cause at one account; it has a canary and a window of its own.
CREATE TABLE replay_parts (
    replay            BIGINT NOT NULL,
    part              BIGINT NOT NULL,
    cause             BIGINT,
    account           TEXT,
    tenant_id         TEXT,
    batches           BIGINT NOT NULL,
    started           BIGINT NOT NULL DEFAULT 0,
    counted           BIGINT NOT NULL DEFAULT 0,
    passed            BIGINT NOT NULL DEFAULT 0,
    known             TEXT NOT NULL,
    why               TEXT,
    PRIMARY KEY (replay, part)
) WITHOUT ROWID;

CREATE TABLE replay_items (
    replay            BIGINT NOT NULL,
    place             BIGINT NOT NULL,
    part              BIGINT NOT NULL,
    entry             BIGINT NOT NULL,
    identity          TEXT NOT NULL,
    person_epoch      BIGINT NOT NULL,
    tenant_id         TEXT,
    batch_id          TEXT,
    reason            TEXT NOT NULL,
    cases             BIGINT NOT NULL,
    forecast          TEXT NOT NULL,
    detail            TEXT,
    state             TEXT NOT NULL,
    outcome           TEXT,
    outcome_reason    TEXT,
    outcome_detail    TEXT,
    started_at        BIGINT,
    ended_at          BIGINT,
    PRIMARY KEY (replay, place)
) WITHOUT ROWID;

CREATE INDEX replay_items_waiting ON replay_items (replay, part, place) WHERE state = 'waiting';
CREATE INDEX replay_items_started ON replay_items (replay, place) WHERE state = 'started';
CREATE INDEX replay_items_ended ON replay_items (replay, place) WHERE state = 'ended';
CREATE INDEX replay_items_by_entry ON replay_items (entry, replay) WHERE ended_at IS NULL;
CREATE INDEX replay_items_by_outcome ON replay_items (replay, outcome, place);
