//! Builds the events about batches, connections and keys as CloudEvents 1.0 in structured JSON, with the same bytes
//! however often an event is sent.

mod batch;
mod bounded;
mod case_input;
mod dropped;
mod duplicate;
mod message;
mod overwritten;
mod previous;
mod repeated;
mod tenant;
mod undone;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::batch::{
    CaseOutcome, Deferred, EventInput, Outcome, Settled, SettledCase, Waiting, deferred, link, of_settlement,
    settlement_id, still_deferred,
};
pub use self::case_input::{CaseFolder, CaseInput};
pub use self::dropped::{DroppedEntry, Removed, StillNeeded, dropped_link};
pub use self::duplicate::{Duplicated, DuplicatedCase, duplicated};
pub use self::message::{MessageInput, MessageInvalid, of_message};
pub use self::overwritten::{Certainty, EditsOverwritten, MOST_EDITS, OverwrittenEdit, edits_overwritten};
pub use self::previous::{Previous, address};
pub use self::repeated::{CaseChange, KeptBecause, KeptField, Repeated};
pub use self::tenant::{
    ConnectionChange, ConnectionFailed, ConnectionRestored, DaysLeft, KeyExpired, KeyExpiring, connection_failed,
    connection_restored, key_expired, key_expiring,
};
pub use self::undone::{Undone, UndoneCase, UndoneChange, UndoneFolder, folder_address, link_of_item, undone};
use crate::batch::message::text::excerpt;
use crate::batch::verdict::reason::Reason;
use crate::batch::{BatchId, TenantId, json_of};
use crate::trace::TraceContext;

/// The media type of a structured CloudEvent.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// Every case is in Testmo.
pub const DELIVERED: &str = "com.sqai-suite.testmo.batch.delivered.v1";
/// Some cases are in Testmo; the others will not be created.
pub const PARTIALLY_DELIVERED: &str = "com.sqai-suite.testmo.batch.partially_delivered.v1";
/// No case is in Testmo.
pub const FAILED: &str = "com.sqai-suite.testmo.batch.failed.v1";
/// A person took back what the batch did, or had duplicates of its cases removed.
pub const UNDONE: &str = "com.sqai-suite.testmo.batch.undone.v1";
/// The batch is expected to wait for more than 5 minutes.
pub const DEFERRED: &str = "com.sqai-suite.testmo.batch.deferred.v1";
/// The message never became work; it says nothing about a batch that was received before.
pub const MESSAGE_INVALID: &str = "com.sqai-suite.testmo.message.invalid.v1";
/// Cases are in Testmo twice.
pub const DUPLICATED: &str = "com.sqai-suite.testmo.case.duplicated.v1";
/// Edits by people were overwritten, as they were made between the reading of a case and the request that changed it.
pub const OVERWRITTEN: &str = "com.sqai-suite.testmo.edit.overwritten.v1";
/// The tenant's connection stopped working.
pub const CONNECTION_FAILED: &str = "com.sqai-suite.testmo.connection.failed.v1";
/// The tenant's connection works again.
pub const CONNECTION_RESTORED: &str = "com.sqai-suite.testmo.connection.restored.v1";
/// The tenant's API key is about to expire.
pub const KEY_EXPIRING: &str = "com.sqai-suite.testmo.key.expiring.v1";
/// The tenant's API key has expired.
pub const KEY_EXPIRED: &str = "com.sqai-suite.testmo.key.expired.v1";

/// The namespace of event ids: any constant serves, as long as it never changes.
const NAMESPACE: Uuid = Uuid::from_u128(0x7ad9_6a1c_0c5e_4b7e_9d55_3f1b_8d2f_6e10);
/// What a time looks like in an event, for validators without a check of the format `date-time`.
const MOMENT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$";
/// What a day looks like in an event.
const DAY: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";
/// The first word of the routing key of an event whose tenant could not be read.
pub const NO_TENANT: &str = "unknown";
/// The most characters of a text from outside.
const LONGEST_TEXT: usize = 1_000;

/// A finished event, ready to be stored and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The id of the event: equal for events that must be processed only once.
    pub id: String,
    /// The CloudEvents type of the event.
    pub kind: &'static str,
    /// The routing key of the event: the tenant as one word, then the type.
    pub routing_key: String,
    /// The subject of the event: the tenant and the batch, as far as known.
    pub subject: String,
    /// The event as JSON text.
    pub body: String,
}

/// The envelope of every event (CloudEvents 1.0).
#[derive(Debug, Serialize, JsonSchema)]
pub struct Envelope<D> {
    /// The version of CloudEvents.
    pub specversion: &'static str,
    /// The id of the event. A repeated event has the same id, so a reader that has seen the id can skip the event.
    pub id: String,
    /// The origin of the event.
    pub source: &'static str,
    /// The type of the event.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The time of the event, as RFC 3339.
    #[schemars(extend("format" = "date-time", "pattern" = MOMENT))]
    pub time: String,
    /// The media type of `data`.
    pub datacontenttype: &'static str,
    /// `TENANT/BATCH`, or `TENANT` if the event is not about a batch; absent if the tenant is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The trace of the batch and the span from which the event follows, as W3C Trace Context writes them (CloudEvents extension
    /// for distributed tracing); absent if the batch has no trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// What tracing systems add to the trace; absent if they add nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// The data of the event.
    pub data: D,
}

/// Why a case did not arrive or a connection does not work, and what to do.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Why {
    /// The reason, as a word that does not change; see docs/reasons.md.
    pub reason: Reason,
    /// What is wrong, as a text for people.
    pub cause: &'static str,
    /// What to do, as a text for people.
    pub remedy: &'static str,
    /// Details about the reason, at most 1,000 characters on one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Why {
    fn new(reason: Reason, detail: Option<&str>) -> Self {
        let detail = detail.map(|text| excerpt(text, LONGEST_TEXT));
        Self { reason, cause: reason.cause(), remedy: reason.remedy(), detail }
    }
}

/// Puts data into an envelope; `now` is in milliseconds since 1970-01-01 UTC.
fn event(
    id: String,
    kind: &'static str,
    tenant: Option<&TenantId>,
    batch: Option<&BatchId>,
    trace: Option<&TraceContext>,
    data: impl Serialize,
    now: i64,
) -> Event {
    let word = tenant.map_or_else(|| NO_TENANT.into(), TenantId::routing_word);
    let subject = match (tenant, batch) {
        (Some(tenant), Some(batch)) => format!("{tenant}/{batch}"),
        (Some(tenant), None) => tenant.to_string(),
        (None, _) => String::new(),
    };
    let envelope = Envelope {
        specversion: "1.0",
        id: id.clone(),
        source: "/testmo-courier",
        kind,
        time: Timestamp::from_millisecond(now).unwrap_or_default().to_string(),
        datacontenttype: "application/json",
        subject: subject.clone(),
        traceparent: trace.map(TraceContext::traceparent),
        tracestate: trace.and_then(TraceContext::tracestate).map(str::to_owned),
        data,
    };
    let body = json_of(&envelope);
    Event { id, kind, routing_key: format!("{word}.{kind}"), subject, body }
}

/// Reads the trace context of an event from its text: everything before `data` belongs to the envelope.
pub fn trace_of(body: &str) -> Option<TraceContext> {
    #[derive(Deserialize)]
    struct Traced {
        traceparent: String,
        tracestate: Option<String>,
    }
    let (envelope, _) = body.split_once(",\"data\":")?;
    let traced: Traced = serde_json::from_str(&format!("{envelope}}}")).ok()?;
    TraceContext::read(&traced.traceparent, traced.tracestate.as_deref())
}

/// Joins the parts by a character that none of them contains, so that different parts never give the same id.
fn event_id(parts: &[&str]) -> String {
    Uuid::new_v5(&NAMESPACE, parts.join("\n").as_bytes()).to_string()
}
