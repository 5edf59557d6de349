-- The trace that the message of a batch named when the batch was first stored: `traceparent` and, behind a blank,
-- `tracestate`. And the trace of the batch because of which an entry of the audit was made.
ALTER TABLE batches ADD COLUMN trace TEXT;
ALTER TABLE audit ADD COLUMN trace_id TEXT;
