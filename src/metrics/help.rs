//! Holds the name and the help text of every series.

/// A series: its name without the prefix, and its help text.
pub(super) type Series = (&'static str, &'static str);

pub(super) const BATCHES: Series =
    ("batches_total", "Batches, by outcome. A parked batch counts again when it leaves the shelf.");
pub(super) const BATCHES_SHELVED: Series = ("batches_shelved_total", "Batches put on the shelf, by reason.");
pub(super) const BATCHES_IN_FLIGHT: Series =
    ("batches_in_flight", "Batches that this worker has taken and not yet acknowledged or shelved.");
pub(super) const BATCH_DELIVERY_DURATION: Series = (
    "batch_delivery_duration_seconds",
    "Time from publishing a batch until all its cases are in Testmo; AMQP's time stamp has full seconds.",
);
pub(super) const DELIVERED_BATCHES: Series = (
    "delivered_batches_total",
    "Delivered batches, by how long they took from publishing: in_time within 60 s, late if only the worker can be the cause. \
     Of the others that took longer: waited_for_tenant (its connection, or an earlier batch), waited_for_testmo (it failed or \
     asked for a pause), waited_for_person (paused, edited or replayed), waited_for_room (more batches of the account came \
     than it takes).",
);
pub(super) const OWN_ERRORS: Series = (
    "own_errors_total",
    "Batches that met an error of the worker's own, by cause: panic, duplicate (cases in Testmo twice), or the reason for which \
     they are on the shelf. A batch counts once for a cause while one worker has it in hand.",
);
pub(super) const SHELF_BATCHES: Series =
    ("shelf_batches", "Batches on the shelf: parked ones are retried automatically, dead ones wait for a person.");
pub(super) const SHELF_OLDEST_BATCH_AGE: Series = (
    "shelf_oldest_batch_age_seconds",
    "Age of the oldest batch on the shelf since it arrived, by state and reason; 0 if there is none. Counted every 30 s.",
);
pub(super) const SHELF_FAILING: Series = (
    "shelf_failing_seconds",
    "How long Testmo has been failing for the parked batch for which it has been failing longest, as far as that counts \
     towards retry.give_up_after; 0 if it fails for none. Counted every 30 s.",
);
pub(super) const CASES: Series = (
    "cases_total",
    "Test cases, by outcome: adopted ones were found in Testmo after a lost response, refused ones include faulty ones \
     that were not sent, unclear ones are no longer found. Of cases that an earlier batch wrote: updated ones, and those that \
     were left (unchanged, kept, skipped, superseded, not_found).",
);
pub(super) const DUPLICATE_CASES: Series = (
    "duplicate_cases_total",
    "Test cases found in Testmo twice, because Testmo carried out a request late, after its cases had been sent again.",
);
pub(super) const REPEATED_CASES: Series = (
    "repeated_cases_total",
    "Test cases created although an earlier batch created one with the same source key and external id in the same \
     project, as far as content.remember goes back.",
);
pub(super) const DROPPED_CASES: Series = (
    "dropped_cases_total",
    "Test cases that a later generation does not have any more, by what was done with them: kept ones were edited or used by \
     people, left ones are left by the mapping.",
);
pub(super) const OVERWRITTEN_EDITS: Series = (
    "overwritten_edits_total",
    "Edits by people that a request overwrote, as they were made between the reading of a case and the request, by certainty: \
     of a possible one, Testmo's history does not say in a known form what it changed.",
);
pub(super) const INVALID_CASE_IDS: Series = (
    "invalid_case_ids_total",
    "Ids in Testmo's responses that no new test case can have: 0, above 2^53, or held by another case. The \
     outcome of such a case is unknown until it is reconciled.",
);
pub(super) const RESPONSE_DIFFERENCES: Series = (
    "response_differences_total",
    "Test cases that Testmo's response shows differently than they were sent, by field.",
);
pub(super) const UNORDERED_LISTS: Series = (
    "unordered_lists_total",
    "Lists of test cases that Testmo returned in another order than requested; they are read to the end.",
);
pub(super) const CREATE_REQUESTS: Series = (
    "create_requests_total",
    "Requests that create test cases, by result: 2xx for success, inconclusive for a status that leaves the \
     outcome unknown, not_processed for 421 and 425, else the status or what went wrong.",
);
pub(super) const CREATE_REQUESTS_IN_FLIGHT: Series =
    ("create_requests_in_flight", "Requests that create test cases and wait for their response.");
pub(super) const CREATE_REQUEST_DURATION: Series =
    ("create_request_duration_seconds", "Duration of a request that creates test cases.");
pub(super) const CREATE_REQUEST_CASES: Series = ("create_request_cases", "Test cases in a request that creates them.");
pub(super) const RATE_LIMITED_RESPONSES: Series =
    ("rate_limited_responses_total", "Responses of Testmo with status 429, to requests of any kind.");
pub(super) const LANES: Series = (
    "lanes",
    "Lanes of this worker, one for each Testmo account with work: active ones send; those that are backing_off \
     wait, because Testmo asked for a pause or is failing.",
);
pub(super) const BACKLOG_DRAIN: Series = (
    "backlog_drain_seconds",
    "Estimated time until everything that waits in this worker and on the shelf is sent at the present rate, \
     for the ten tenants with the most; `(others)` is the longest of all other tenants.",
);
pub(super) const RUNNABLE_DRAIN: Series = (
    "runnable_drain_seconds",
    "Estimated time until this worker alone has sent everything that may run now: what waits in it and, for lack of room, on the \
     shelf, without accounts that are paused by rate limit, failing or paused by a person.",
);
pub(super) const QUEUED_BYTES: Series =
    ("queued_bytes", "Memory of the batches that wait in the lanes of this worker.");
pub(super) const EVENT_PUBLISHES: Series = (
    "event_publishes_total",
    "Attempts to publish an event: confirmed by the broker, failed, or unroutable because no queue is bound \
     for its routing key.",
);
pub(super) const OUTBOX_PENDING_EVENTS: Series = (
    "outbox_pending_events",
    "Events that the broker has not confirmed yet, without the unroutable ones; counted up to 10,000.",
);
pub(super) const OUTBOX_UNROUTABLE_EVENTS: Series = (
    "outbox_unroutable_events",
    "Events that wait because no queue is bound for their routing key; counted every 30 s and up to 10,000.",
);
pub(super) const OUTBOX_UNROUTABLE_ROUTING_KEYS: Series = (
    "outbox_unroutable_routing_keys",
    "Routing keys of events that no queue has been bound for during events.unroutable_alert_after; counted every 30 s and \
     up to 10,000.",
);
pub(super) const OUTBOX_EXPIRING_EVENTS: Series = (
    "outbox_expiring_events",
    "Unroutable events that reach store.retention within 24 hours and are then removed; counted every 30 s and \
     up to 10,000.",
);
pub(super) const OUTBOX_EXPIRED_EVENTS: Series = (
    "outbox_expired_events_total",
    "Events that were removed because no queue was bound for their routing key during store.retention.",
);
pub(super) const BROKER_UP: Series = (
    "broker_up",
    "1 while a connection to the broker is up and usable: for batches (intake), for events, for the dead- \
     letter queue and for the unrouted queue.",
);
pub(super) const STORE_UP: Series = ("store_up", "1 while the store responds and can be written.");
pub(super) const RETENTION_LAG: Series = (
    "retention_lag_seconds",
    "Time by which pruning is behind store.retention: how much longer the oldest row has been kept that it has not \
     examined yet.",
);
pub(super) const STORE_UNREADABLE_ROWS: Series = (
    "store_unreadable_rows",
    "Rows of the store that this worker's version cannot read, by table; everything that depends on them \
     is held.",
);
pub(super) const API_KEYS: Series = (
    "api_keys",
    "API keys, by time of expiry, counted every 30 s; each value without those before it. A key is valid for \
     the whole of its last day, in UTC; within_1_day is today or tomorrow.",
);
pub(super) const TENANT_CONNECTIONS: Series = (
    "tenant_connections",
    "Tenants' connections to Testmo, counted every 30 s; unverified ones are not used, because Testmo refused \
     them or they have not worked since they were changed.",
);
pub(super) const TENANT_FILES: Series = (
    "tenant_files",
    "Files of tenants in tenants.directory, counted at each reading. What a broken one said before stays in force; a directory that \
     cannot be read is a broken file. removal_held are missing files whose connections stay because most files are missing.",
);
pub(super) const REPLAYS: Series = (
    "replays",
    "Replays in the store, counted every 30 s; a paused one waits for a person, as too much failed again or a person paused \
     it.",
);
pub(super) const REPLAYS_STOPPED: Series = (
    "replays_stopped",
    "Paused replays that stopped because too much failed again, not because a person paused them; counted every 30 s.",
);
pub(super) const CERTIFICATE_END: Series = (
    "certificate_end_timestamp_seconds",
    "End of the TLS certificate that ends first, of those that RabbitMQ and, within the last day, Testmo showed this worker, in \
     seconds since 1970; 0 if there was none.",
);
pub(super) const INSECURE_ORIGINS: Series = ("insecure_origins", "Origins that the configuration allows without TLS.");
pub(super) const PANICS: Series = (
    "panics_total",
    "Panics that ended one unit of work, such as a message or a row, by task. Each is a defect in the worker.",
);
pub(super) const SPANS: Series = (
    "spans_total",
    "Spans of batches and requests for traces.endpoint: exported ones, those that the collector did not take (failed), and those for \
     which there was no room or no time left (dropped). Nothing waits for a collector.",
);
