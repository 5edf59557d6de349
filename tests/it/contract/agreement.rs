//! Compares the schema with the decoder, for every odd value in every place of a message.

use jsonschema::Validator;
use serde_json::{Value, json};
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::one_line;
use testmo_courier::contract::batch_schema;

use super::odd_values::odd_values;
use super::{bytes, complete, places, validator};

/// Checks that schema and decoder agree on a message, except where a schema cannot state a rule: an external id must be
/// unique, and blanks at the ends do not count. The decoder also reads some more forms of times.
pub(super) fn agreement(schema: &Validator, message: &Value) -> Result<(), String> {
    let decoded = decode(&bytes(message));
    let decoded = decoded.map_err(|broken| broken.faults().to_vec()).and_then(|batch| {
        let faulty = batch.cases.iter().filter_map(|case| case.faulty.as_deref());
        let faults: Vec<_> = faulty.flat_map(|faulty| faulty.faults.clone()).collect();
        if faults.is_empty() { Ok(batch) } else { Err(faults) }
    });
    match (schema.is_valid(message), decoded) {
        (true, Ok(_)) | (false, Err(_)) => Ok(()),
        (true, Err(faults)) => {
            let repeated = |fault: &testmo_courier::batch::Fault| {
                fault.pointer.ends_with("/external_id") && fault.what.starts_with("is already used by")
            };
            match faults.iter().find(|fault| !repeated(fault)) {
                None => Ok(()),
                Some(fault) => Err(format!("only the decoder finds: {fault}\n{message}")),
            }
        }
        (false, Ok(batch)) => {
            let mut plain = trimmed(message);
            let at = jiff::Timestamp::from_millisecond(batch.generated_at).map_err(|e| e.to_string())?;
            plain["generated_at"] = json!(at.to_string());
            schema
                .validate(&plain)
                .map_err(|e| format!("only the schema finds: {e} at {}\n{message}", e.instance_path()))
        }
    }
}

fn trimmed(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(one_line(text)),
        Value::Array(items) => items.iter().map(trimmed).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), trimmed(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

#[test]
fn schema_and_decoder_agree_on_every_odd_value_in_every_place() {
    let schema = validator(&batch_schema());
    let (message, odd) = (complete(), odd_values());
    let mut extra: Vec<(String, Value)> = Vec::new();
    for place in places(&message) {
        for value in &odd {
            let mut changed = message.clone();
            *changed.pointer_mut(&place).expect("a place") = value.clone();
            extra.push((place.clone(), changed));
        }
        let mut changed = message.clone();
        if let Some(object) = changed.pointer_mut(&place).and_then(Value::as_object_mut) {
            object.insert("extra".into(), json!(1));
            extra.push((place, changed));
        }
    }
    for (key, value) in [("folder_id", json!(7)), ("folder_id", json!(null)), ("folder_path", json!(null))] {
        let mut changed = message.clone();
        changed[key] = value;
        extra.push((key.into(), changed));
    }
    let disagreements: Vec<String> = extra
        .iter()
        .filter_map(|(place, message)| agreement(&schema, message).err().map(|e| format!("{place}: {e}")))
        .collect();
    let valid = extra.iter().filter(|(_, message)| schema.is_valid(message)).count();
    assert!(valid > 100 && extra.len() - valid > 1_000, "{valid} of {} are valid", extra.len());
    assert!(disagreements.is_empty(), "{} of {}: {}", disagreements.len(), extra.len(), disagreements[0]);
}
