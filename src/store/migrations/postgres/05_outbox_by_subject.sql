-- An event is found by what it is about: one index less, and where the names of batches are in order, so is the index.

ALTER TABLE outbox DROP CONSTRAINT outbox_pkey, ADD PRIMARY KEY (subject, event_id);

DROP INDEX outbox_by_subject;
