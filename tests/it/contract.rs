//! Checks that the decoder, the schemas and the documents agree on every message.

mod agreement;
mod documents;
mod generated;
mod hostile;
mod limits;
mod odd_values;
mod said;
mod strict;

use jsonschema::Validator;
use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::batch::event::{self, Event, MessageInput};
use testmo_courier::batch::message::decode::{MAX_FAULTS, decode};
use testmo_courier::batch::message::lint::lint;
use testmo_courier::contract::batch_example;

pub(crate) fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).expect("the schema is one")
}

fn minimal() -> Value {
    json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
           "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "Sign in"}]})
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

/// Returns a message with every part, in which each part can be replaced by an odd value.
fn complete() -> Value {
    let mut message = serde_json::to_value(batch_example()).expect("JSON");
    message["cases"][0]["steps"][0]["data"] = json!("d");
    message
}

fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(key, member)| walk(member, &format!("{at}/{key}"), found));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| walk(item, &format!("{at}/{index}"), found));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

/// Decodes and lints a message, and checks that the reported text is bounded and free of control characters.
fn is_handled(name: &str, message: &[u8]) {
    let findings = lint(message);
    for found in findings.faults.iter().chain(&findings.warnings) {
        let text = found.to_string();
        assert!(text.chars().count() < 1_200 && !text.contains(char::is_control), "{name}: {text}");
    }
    let Err(broken) = decode(message) else { return };
    assert!(!broken.faults().is_empty() && broken.faults().len() <= MAX_FAULTS + 1, "{name}");
    assert!(broken.detail().len() < 16_000 && !broken.detail().contains(char::is_control), "{name}");
    let Event { body, .. } = event::of_message(&MessageInput {
        tenant: None,
        batch: None,
        raw_hash: "0",
        properties: &Default::default(),
        reason: Reason::InvalidMessage,
        faults: broken.faults(),
        detail: None,
        now: 0,
    });
    assert!(body.len() < 300_000, "{name}: {} bytes", body.len());
}
