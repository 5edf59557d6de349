//! Do the decoder, the schemas and the documents say the same, whatever is published?

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use testmo_courier::batch::event::{self, Event};
use testmo_courier::batch::message::decode::{MAX_FAULTS, decode};
use testmo_courier::batch::message::lint::lint;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::batch::render::render;
use testmo_courier::batch::verdict::reason::Class;
use testmo_courier::batch::{Reason, one_line};
use testmo_courier::contract::{KINDS, asyncapi, batch_example, batch_schema, events_schema};

use crate::support::hostile::messages;

/// Compares a document with what the code says, or writes it where that is asked for.
fn is_up_to_date(path: &str, content: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&file, content).expect("the document can be written");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == content, "{path} is out of date: run `UPDATE_DOCS=1 cargo test --test it contract::`");
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).expect("the schema is one")
}

fn minimal() -> Value {
    json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
           "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "Sign in"}]})
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON")
}

#[test]
fn the_documents_are_up_to_date() {
    for (path, value) in [
        ("docs/schemas/batch.schema.json", batch_schema()),
        ("docs/schemas/events.schema.json", events_schema()),
        ("docs/schemas/asyncapi.json", asyncapi()),
    ] {
        is_up_to_date(path, &format!("{value:#}\n"));
    }
    is_up_to_date("docs/reasons.md", &reasons());
}

fn reasons() -> String {
    let mut text = String::from(
        "# Reasons\n\nWhy a batch or a case did not arrive: the `reason` of events, of `shelf list` and of metrics.\nGenerated \
         from `src/batch/verdict`.\n\n| reason | title | waits for | cause | remedy |\n| --- | --- | --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        let waits_for = match reason.class() {
            Class::Connection => "a corrected connection",
            Class::Account => "Testmo, retried automatically",
            Class::Message => "a new message",
            Class::Case => "the corrected case in a new batch",
            Class::Person => "a person's decision",
        };
        text +=
            &format!("| `{reason}` | {} | {waits_for} | {} | {} |\n", reason.title(), reason.cause(), reason.remedy());
    }
    text
}

#[test]
fn every_reference_leads_somewhere_and_every_example_is_valid() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(Into::into));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for document in [batch_schema(), events_schema(), asyncapi()] {
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
    let document = asyncapi();
    for message in document["components"]["messages"].as_object().expect("messages").values() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "allOf": [message["payload"]],
            "components": document["components"],
        });
        let example = &message["examples"][0]["payload"];
        validator(&schema).validate(example).unwrap_or_else(|e| panic!("{}: {e}", message["name"]));
    }
}

#[test]
fn the_exchanges_are_those_of_the_default_configuration() {
    let defaults = include_str!("../../config/default.toml");
    for (channel, key) in [("cases", "cases_exchange"), ("events", "events_exchange")] {
        let document = asyncapi();
        let name = &document["channels"][channel]["bindings"]["amqp"]["exchange"]["name"];
        assert!(defaults.contains(&format!("{key} = {name}")), "{name}");
    }
}

#[test]
fn the_example_is_a_batch_without_anything_to_say() {
    let message = serde_json::to_value(batch_example()).expect("JSON");
    validator(&batch_schema()).validate(&message).unwrap_or_else(|e| panic!("{e}"));
    let findings = lint(&bytes(&message));
    assert_eq!((findings.faults, findings.warnings), (vec![], vec![]));
}

#[test]
fn every_event_is_as_its_schema_says() {
    let schema = validator(&events_schema());
    for kind in KINDS {
        let event = kind.example();
        schema.validate(&event).unwrap_or_else(|e| panic!("{}: {e}", kind.name));
        assert_eq!(event["type"], kind.kind);
        for (key, wrong) in [("type", json!("another")), ("data", json!({})), ("specversion", json!("0.3"))] {
            let mut changed = event.clone();
            changed[key] = wrong;
            assert!(!schema.is_valid(&changed), "{} with another {key}", kind.name);
        }
    }
}

/// Whether schema and decoder agree on a message, save for what a schema cannot say: that an external id stands only
/// once, and that blanks at the ends do not count; and but for times, of which the decoder reads some more forms.
fn agreement(schema: &Validator, message: &Value) -> Result<(), String> {
    let decoded = decode(&bytes(message));
    match (schema.is_valid(message), decoded) {
        (true, Ok(_)) | (false, Err(_)) => Ok(()),
        (true, Err(broken)) => {
            let repeated = |fault: &testmo_courier::batch::Fault| {
                fault.pointer.ends_with("/external_id") && fault.what.starts_with("is that of")
            };
            match broken.faults().iter().find(|fault| !repeated(fault)) {
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

/// Values that are wrong in most places, and right in some.
fn odd_values() -> Vec<Value> {
    let mut odd = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1),
        json!(1.0),
        json!(1.5),
        json!(12.0),
        json!(1e300),
        json!((1_u64 << 53) - 1),
        json!(1_u64 << 53),
        json!(u64::MAX),
        json!([]),
        json!([null]),
        json!([[]]),
        json!({}),
        json!([{}]),
        json!({"custom_x": 1}),
        json!({"custom_": 1}),
        json!({"custom_X": 1}),
        json!({"name": "a"}),
        json!([{"name": "a"}]),
        json!([{"action": "a"}]),
        json!([{"action": null}]),
        json!(["a", "b"]),
        json!(vec!["t"; 50]),
        json!(vec!["t"; 51]),
        json!(vec!["f"; 20]),
        json!(vec!["f"; 21]),
        json!(vec![json!({"action": "a"}); 500]),
        json!(vec![json!({"action": "a"}); 501]),
        json!(vec![json!({"name": "a"}); 1_000]),
        json!(vec![json!({"name": "a"}); 1_001]),
    ];
    for text in [
        "",
        " ",
        "\t\n",
        "\u{feff}",
        "\u{85}",
        "\u{1}",
        "\u{0}",
        "a\u{0}",
        " a ",
        "a\tb",
        "a\n",
        "\u{feff}a",
        "\u{200b}",
        "a b",
        "ä",
        "#1",
        "#2",
        "TC-1",
        "high",
        "urgent",
        "12",
        "Feature: x",
        "2026-11-23T09:30:00Z",
        "2026-11-23T09:30:00.123456789+01:00",
        "2026-11-23T09:30:00",
        "2026-02-30T09:30:00Z",
        "2026-11-23t09:30:00z",
        "2026-11-23 09:30Z",
        "2026-11-23T09:30:00.1234567890Z",
        "2026-11-23T23:59:60Z",
        "2026-11-23T09:30:00+24:00",
        "2026-11-23T10:30:00+01:00[Europe/Berlin]",
        "yesterday",
    ] {
        odd.push(json!(text));
    }
    for length in [64, 65, 128, 129, 200, 201, 255, 256, 1_000, 1_001, 2_000, 2_001] {
        odd.push(json!("é".repeat(length)));
        odd.push(json!("x".repeat(length)));
        odd.push(json!(format!(" {} ", "x".repeat(length))));
    }
    odd
}

/// A message with every part, in which each part can be made odd.
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

/// One change of a message: put a value in a place, take a place away, or put a key into an object.
#[derive(Clone, Debug)]
enum Change {
    Put(usize, usize),
    Remove(usize),
    Insert(usize, usize, String),
}

fn change() -> impl Strategy<Value = Change> {
    let key = prop_oneof![
        Just("external_id"),
        Just("name"),
        Just("steps"),
        Just("gherkin"),
        Just("folder_id"),
        Just("tags"),
        Just("custom_a"),
        Just("nam"),
        Just("")
    ];
    prop_oneof![
        (any::<usize>(), any::<usize>()).prop_map(|(place, value)| Change::Put(place, value)),
        any::<usize>().prop_map(Change::Remove),
        (any::<usize>(), any::<usize>(), key).prop_map(|(place, value, key)| Change::Insert(place, value, key.into())),
    ]
}

fn changed(mut message: Value, changes: &[Change], odd: &[Value]) -> Value {
    for change in changes {
        let places = places(&message);
        let place = |n: usize| places[n % places.len()].as_str();
        let value = |n: usize| odd[n % odd.len()].clone();
        match change {
            Change::Put(at, with) => *message.pointer_mut(place(*at)).expect("a place") = value(*with),
            Change::Remove(at) => {
                let Some((above, key)) = place(*at).rsplit_once('/') else { continue };
                match message.pointer_mut(above) {
                    Some(Value::Object(members)) => drop(members.shift_remove(key)),
                    Some(Value::Array(items)) => drop(items.remove(key.parse().expect("an index"))),
                    _ => {}
                }
            }
            Change::Insert(at, with, key) => {
                if let Some(object) = message.pointer_mut(place(*at)).and_then(Value::as_object_mut) {
                    object.insert(key.clone(), value(*with));
                }
            }
        }
    }
    message
}

thread_local! {
    static SCHEMA: Validator = validator(&batch_schema());
    static ODD: Vec<Value> = odd_values().into_iter().filter(|value| value.to_string().len() < 5_000).collect();
}

proptest! {
    #[test]
    fn schema_and_decoder_agree_on_changed_messages(changes in proptest::collection::vec(change(), 0..5)) {
        let message = ODD.with(|odd| changed(complete(), &changes, odd));
        SCHEMA.with(|schema| agreement(schema, &message)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn schema_and_decoder_agree_on_any_text(text in "([ \\n\\x00-\\x20\u{7f}-\u{a0}\u{feff}\u{200b}]|\\PC){0,6}", place in 0..6_usize) {
        let mut message = complete();
        let places = ["/cases/0/name", "/cases/0/external_id", "/cases/0/steps/0/action", "/cases/1/gherkin", "/source/key", "/batch_id"];
        *message.pointer_mut(places[place]).expect("a place") = json!(text);
        SCHEMA.with(|schema| agreement(schema, &message)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn no_bytes_make_anything_stumble(noise in proptest::collection::vec(any::<u8>(), 0..40), at in any::<usize>()) {
        let mut message = bytes(&complete());
        let at = at % message.len();
        message.splice(at..(at + noise.len() / 2).min(message.len()), noise);
        is_handled("noise", &message);
    }

    #[test]
    fn whatever_is_a_batch_can_be_rendered(changes in proptest::collection::vec(change(), 0..4)) {
        let message = ODD.with(|odd| changed(complete(), &changes, odd));
        if let Ok(batch) = decode(&bytes(&message)) {
            for case in render(&batch, &Mapping::default()) {
                prop_assert!(serde_json::from_str::<Value>(&case.entry).expect("JSON").is_object());
            }
        }
    }
}

/// Decodes and lints a message, and checks that what is told of it is bounded and without control characters.
fn is_handled(name: &str, message: &[u8]) {
    let findings = lint(message);
    for found in findings.faults.iter().chain(&findings.warnings) {
        let text = found.to_string();
        assert!(text.chars().count() < 1_200 && !text.contains(char::is_control), "{name}: {text}");
    }
    let Err(broken) = decode(message) else { return };
    assert!(!broken.faults().is_empty() && broken.faults().len() <= MAX_FAULTS + 1, "{name}");
    assert!(broken.detail().len() < 16_000 && !broken.detail().contains(char::is_control), "{name}");
    let Event { body, .. } = event::of_message(None, None, "0", Reason::InvalidMessage, broken.faults(), 0);
    assert!(body.len() < 300_000, "{name}: {} bytes", body.len());
}

#[test]
fn hostile_messages_are_handled_in_bounded_time_and_words() {
    for (name, message) in messages() {
        let began = Instant::now();
        is_handled(name, &message);
        // Two looks at 8 MB, without optimization and on a busy machine; anything quadratic takes hours.
        assert!(began.elapsed() < Duration::from_secs(60), "{name} took {:?}", began.elapsed());
    }
}

#[test]
fn faults_beyond_the_limit_are_counted() {
    let mut message = minimal();
    message["cases"] = json!(vec![json!({"name": ""}); 1_000]);
    let broken = decode(&bytes(&message)).expect_err("faults");
    assert_eq!(broken.faults().len(), MAX_FAULTS + 1);
    assert_eq!(broken.faults()[MAX_FAULTS].what, "has 900 more faults");
}

#[test]
fn every_fault_is_named_though_other_cases_are_broken() {
    let mut message = minimal();
    message["cases"] = json!([{"name": "a", "external_id": "x"}, {"nam": 1}, {"name": "b", "external_id": " x"},
        {"name": "c", "external_id": "#5"}, {"name": "d"}]);
    let broken = decode(&bytes(&message)).expect_err("faults");
    let pointers: Vec<_> = broken.faults().iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/cases/1/nam", "/cases/1/name", "/cases/2/external_id", "/cases/3/external_id"]);
}
