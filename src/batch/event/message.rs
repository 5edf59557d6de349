//! Builds the event about a message that never became work.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::batch::event::{Event, MESSAGE_INVALID, Why, event, event_id};
use crate::batch::message::fault::Fault;
use crate::batch::verdict::reason::Reason;
use crate::batch::{BatchId, TenantId, json_of};
use crate::trace::TraceContext;

/// How [`raw_hash`](crate::batch::raw_hash) is computed, by its name in the registry of named information (RFC 6920).
const ALGORITHM: &str = "sha-256-128";

/// The event data of a message that never became work: broken, too large, undeliverable, in conflict with a batch that
/// was received before, or one over which workers ended.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MessageInvalid {
    /// The tenant in the message, if it could be read.
    pub tenant_id: Option<String>,
    /// The batch id in the message, if it could be read. The event says nothing about the outcome of a batch of this id
    /// that was received before.
    pub batch_id: Option<String>,
    /// Always `invalid`.
    #[schemars(extend("const" = "invalid"))]
    pub outcome: &'static str,
    /// The message's property `message_id`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The message's property `correlation_id`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The message's property `app_id`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// A hash of the message's bytes; it identifies the message on the shelf.
    pub message_hash: String,
    /// The algorithm of the hash: `sha-256-128` is the first 128 bits of SHA-256, in hexadecimal digits.
    pub message_hash_algorithm: &'static str,
    /// The faults of the message, at most 100; if there are more, a last entry gives the number of the others.
    pub faults: Vec<Fault>,
    /// Why the message never became work.
    #[serde(flatten)]
    pub why: Why,
}

/// What is known of a message that never became work.
#[derive(Clone, Copy, Debug)]
pub struct MessageInput<'a> {
    /// The tenant in it, if that could be read.
    pub tenant: Option<&'a TenantId>,
    /// The batch id in it, if that could be read.
    pub batch: Option<&'a BatchId>,
    /// The hash of its bytes.
    pub raw_hash: &'a str,
    /// Its properties by name; others than `message_id`, `correlation_id` and `app_id` do not matter.
    pub properties: &'a BTreeMap<String, String>,
    /// Why it never became work.
    pub reason: Reason,
    /// Its faults.
    pub faults: &'a [Fault],
    /// What is wrong with a message that has no faults, such as how large it is, or where it was published to.
    pub detail: Option<&'a str>,
    /// The time of the event, in milliseconds since 1970-01-01 UTC.
    pub now: i64,
}

/// Returns the event of a message that never became work. Its id depends on the bytes, the properties that it names, and
/// the reason, so that each publisher of equal bytes gets an event with its own properties.
pub fn of_message(input: &MessageInput<'_>) -> Event {
    let MessageInput { tenant, batch, raw_hash, properties, reason, faults, detail, now } = *input;
    let property = |name: &str| properties.get(name).cloned();
    let data = MessageInvalid {
        tenant_id: tenant.map(ToString::to_string),
        batch_id: batch.map(ToString::to_string),
        outcome: "invalid",
        message_id: property("message_id"),
        correlation_id: property("correlation_id"),
        app_id: property("app_id"),
        message_hash: raw_hash.into(),
        message_hash_algorithm: ALGORITHM,
        faults: faults.to_vec(),
        why: Why::new(reason, detail),
    };
    // As JSON, a property has no line break, by which the parts of an id are separated.
    let named = json_of(&(&data.message_id, &data.correlation_id, &data.app_id));
    let id = event_id(&["message", raw_hash, &named, reason.code(), MESSAGE_INVALID]);
    event(id, MESSAGE_INVALID, tenant, batch, TraceContext::of_headers(properties).as_ref(), data, now)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn properties(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn broken(tenant: Option<&TenantId>, properties: &BTreeMap<String, String>) -> Event {
        let (batch, raw_hash, reason, faults, detail, now) = (None, "0123", Reason::InvalidMessage, &[], None, 0);
        of_message(&MessageInput { tenant, batch, raw_hash, properties, reason, faults, detail, now })
    }

    #[test]
    fn a_broken_message_is_reported_to_its_tenant_even_without_a_batch_and_never_as_a_failed_batch() {
        let tenant = TenantId::new("acme").unwrap();
        let sent = properties(&[("message_id", "m-1"), ("correlation_id", "c-1"), ("app_id", "gen"), ("type", "x")]);
        let event = broken(Some(&tenant), &sent);
        assert_eq!(event.kind, "com.sqai-suite.testmo.message.invalid.v1");
        assert_eq!((event.subject.as_str(), event.routing_key), ("acme", format!("acme.{MESSAGE_INVALID}")));
        let body: Value = serde_json::from_str(&event.body).unwrap();
        let data = &body["data"];
        assert_eq!((&data["tenant_id"], &data["batch_id"]), (&json!("acme"), &Value::Null));
        let named = ["message_id", "correlation_id", "app_id", "message_hash_algorithm"].map(|name| data[name].clone());
        assert_eq!(named, ["m-1", "c-1", "gen", "sha-256-128"].map(Value::from));
    }

    #[test]
    fn messages_without_a_readable_tenant_have_one_routing_key() {
        assert_eq!(broken(None, &properties(&[])).routing_key, format!("unknown.{MESSAGE_INVALID}"));
    }

    #[test]
    fn equal_bytes_with_other_properties_get_an_event_of_their_own() {
        let id = |of: &[(&str, &str)]| broken(None, &properties(of)).id;
        let first = id(&[("message_id", "m-1")]);
        assert_eq!(id(&[("message_id", "m-1"), ("content_type", "text/plain")]), first);
        let others = [vec![], vec![("message_id", "m-2")], vec![("correlation_id", "m-1")]];
        assert!(others.iter().all(|other| id(other) != first));
    }
}
