//! Lists the values of every label, so that each series exists from the start.

/// Outcomes of a batch: those that events name, and the states in which a batch leaves the worker.
pub const BATCH_OUTCOMES: [&str; 6] = ["delivered", "partial", "failed", "parked", "dead", "duplicate"];
/// How long delivered batches took, as far as the objective for deliveries is concerned.
pub const DELIVERY_TIMINGS: [&str; 6] =
    ["in_time", "late", "waited_for_tenant", "waited_for_testmo", "waited_for_person", "waited_for_room"];
/// Errors of the worker's own, which count against the objective for errors.
pub const OWN_ERRORS: [&str; 5] = ["panic", "duplicate", "suspect", "store_row_unreadable", "read_failed"];
/// Who showed a certificate.
pub const CERTIFICATE_PEERS: [&str; 2] = ["broker", "testmo"];
/// Outcomes of a case, as events name them.
pub const CASE_OUTCOMES: [&str; 10] =
    ["created", "adopted", "refused", "unclear", "updated", "unchanged", "kept", "skipped", "superseded", "not_found"];
/// What was done with a case that a later generation does not have any more.
pub const DROPPED_OUTCOMES: [&str; 6] = ["retired", "deleted", "left", "kept", "refused", "not_found"];
/// How certain it is that an edit by a person was overwritten.
pub const CERTAINTIES: [&str; 2] = ["certain", "possible"];
/// Results of an attempt to publish an event.
pub const EVENT_PUBLISH_RESULTS: [&str; 3] = ["confirmed", "failed", "unroutable"];
/// The connections to the broker, by what they are for.
pub const BROKER_CONNECTIONS: [&str; 4] = ["intake", "events", "dead_letters", "unrouted"];
/// Whether a lane sends requests.
pub const LANE_STATES: [&str; 2] = ["active", "backing_off"];
/// States of a batch on the shelf.
pub const SHELF_STATES: [&str; 2] = ["parked", "dead"];
/// When API keys expire, each value without the ones before it. A key is valid for the whole of its last day, in UTC.
pub const API_KEY_EXPIRIES: [&str; 6] =
    ["expired", "within_1_day", "within_7_days", "within_14_days", "later", "unknown"];
/// Stands for all tenants that are not named; no tenant can have this name.
pub const OTHER_TENANTS: &str = "(others)";
/// Whether a tenant's connection to Testmo may be used.
pub const TENANT_CONNECTION_STATES: [&str; 2] = ["verified", "unverified"];
/// Whether what the file of a tenant says is in use.
pub const TENANT_FILE_STATES: [&str; 3] = ["in_use", "broken", "removal_held"];
/// How far a replay has come.
pub const REPLAY_STATES: [&str; 6] = ["planning", "planned", "running", "paused", "done", "cancelled"];
/// The reason of batches whose reason this version does not know.
pub const UNKNOWN_REASON: &str = "unknown";
/// Tables of the store whose rows are read one by one.
pub const TABLES: [&str; 8] =
    ["accounts", "batches", "connections", "folders", "lane_orders", "outbox", "shelf", "written_cases"];
