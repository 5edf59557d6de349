-- Events that no queue is bound for wait apart, by routing key, so that they hold up no other event. `aside_at` is since
-- when an event has been waiting so.

ALTER TABLE outbox ADD COLUMN aside_at BIGINT;

CREATE TABLE unbound_keys (
    routing_key       TEXT COLLATE "C" PRIMARY KEY,
    unbound_since     BIGINT NOT NULL,
    returned_at       BIGINT NOT NULL,
    pause             BIGINT NOT NULL,
    probe_at          BIGINT NOT NULL,
    probed_at         BIGINT NOT NULL
);

CREATE INDEX unbound_keys_to_probe ON unbound_keys (probe_at);
CREATE INDEX unbound_keys_probed ON unbound_keys (probed_at);
CREATE INDEX unbound_keys_by_age ON unbound_keys (unbound_since);

DROP INDEX outbox_unsent;
CREATE INDEX outbox_unsent ON outbox (due_at) WHERE sent_at IS NULL AND aside_at IS NULL;
CREATE INDEX outbox_aside ON outbox (routing_key, created_at) WHERE sent_at IS NULL AND aside_at IS NOT NULL;
CREATE INDEX outbox_aside_by_age ON outbox (aside_at) WHERE sent_at IS NULL AND aside_at IS NOT NULL;
CREATE INDEX outbox_aside_by_key_and_age ON outbox (routing_key, aside_at)
    WHERE sent_at IS NULL AND aside_at IS NOT NULL;
