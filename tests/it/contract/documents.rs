//! Compares the documents with the code, and their examples with their schemas.

use std::fs;
use std::path::Path;

use jsonschema::Draft;
use serde_json::{Value, json};
use testmo_courier::app::view::doctor_schema;
use testmo_courier::batch::Reason;
use testmo_courier::batch::message::lint::lint;
use testmo_courier::batch::verdict::reason::Class;
use testmo_courier::contract::{KINDS, asyncapi, batch_example, batch_schema, events_schema, strict_batch_schema};
use testmo_courier::http::api::openapi;

use super::{bytes, validator};

/// Compares a document with the text that the code generates, or writes the document if `UPDATE_DOCS` is 1.
fn is_up_to_date(path: &str, content: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&file, content).expect("the document can be written");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == content, "{path} is out of date: run `UPDATE_DOCS=1 cargo test --test it contract::`");
}

#[test]
fn the_documents_are_up_to_date() {
    for (path, value) in [
        ("docs/schemas/batch.schema.json", batch_schema()),
        ("docs/schemas/batch.strict.schema.json", strict_batch_schema()),
        ("docs/schemas/events.schema.json", events_schema()),
        ("docs/schemas/asyncapi.json", asyncapi()),
        ("docs/schemas/openapi.json", openapi()),
        ("docs/schemas/doctor.schema.json", doctor_schema()),
    ] {
        is_up_to_date(path, &format!("{value:#}\n"));
    }
    is_up_to_date("docs/reasons.md", &reasons());
}

fn reasons() -> String {
    let mut text = String::from(
        "# Reasons\n\nWhy a batch or a case did not arrive: the `reason` of events, of `shelf list` and of metrics. Made \
         from\n`src/batch/verdict/reason.rs`.\n\n| reason | waits for | cause | remedy |\n| --- | --- | --- | --- |\n",
    );
    for reason in Reason::ALL {
        let waits_for = match reason.class() {
            _ if *reason == Reason::Suspect => "nothing: it is tried alone automatically",
            _ if *reason == Reason::CrashLoop => "a person's decision",
            Class::Connection => "the connection to be fixed",
            Class::Account => "nothing: it is retried automatically",
            Class::Message => "a new message",
            Class::Case => "the case, fixed and published again",
            Class::Person => "a person's decision",
        };
        text += &format!("| `{reason}` | {waits_for} | {} | {} |\n", reason.cause(), reason.remedy());
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
    let defaults = include_str!("../../../config/default.toml");
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
fn an_event_of_a_type_that_is_added_later_is_valid_and_one_that_is_broken_is_not() {
    let schema = validator(&events_schema());
    let mut later = json!({"specversion": "1.0", "id": "1", "source": "/testmo-courier", "data": 7});
    assert!(!schema.is_valid(&later), "an event has a type");
    later["type"] = json!("com.sqai-suite.testmo.folder.created.v1");
    schema.validate(&later).unwrap_or_else(|e| panic!("{e}"));
    later["type"] = json!(KINDS[0].kind);
    assert!(!schema.is_valid(&later), "an event of a known type has the data of its type");
}

/// Returns every value of a keyword in the schemas of a document, wherever it is.
fn values_of(keyword: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(keyword).and_then(Value::as_str).map(Into::into));
            members.values().for_each(|member| values_of(keyword, member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| values_of(keyword, item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_schemas_name_no_format_that_a_strict_validator_refuses() {
    for schema in [batch_schema(), events_schema()] {
        let mut found = Vec::new();
        values_of("format", &schema, &mut found);
        assert_eq!(found, [""; 0], "a strict validator knows no format unless it is added; use a pattern");
    }
    let mut found = Vec::new();
    values_of("format", &asyncapi()["components"]["schemas"], &mut found);
    assert!(found.iter().all(|format| ["date-time", "date"].contains(&format.as_str())), "{found:?}");
}

/// Returns every object in the schemas of a document.
fn objects<'a>(value: &'a Value, found: &mut Vec<&'a serde_json::Map<String, Value>>) {
    match value {
        Value::Object(members) => {
            found.push(members);
            members.values().for_each(|member| objects(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_schemas_name_no_draft_and_mean_the_same_in_each() {
    let batch = serde_json::to_value(batch_example()).expect("JSON");
    let mut two_ways = batch.clone();
    two_ways["cases"][0]["gherkin"] = json!("Scenario: both");
    let mut two_folders = batch.clone();
    two_folders["folder_id"] = json!(7);
    for draft in [Draft::Draft7, Draft::Draft201909, Draft::Draft202012] {
        let of = |schema: Value| {
            assert!(schema.get("$schema").is_none(), "Ajv and others refuse a draft that is not their own");
            jsonschema::options().with_draft(draft).build(&schema).expect("the schema is one")
        };
        let (batches, events) = (of(batch_schema()), of(events_schema()));
        batches.validate(&batch).unwrap_or_else(|e| panic!("{draft:?}: {e}"));
        assert!(!batches.is_valid(&two_ways) && !batches.is_valid(&two_folders), "{draft:?}");
        for kind in KINDS {
            events.validate(&kind.example()).unwrap_or_else(|e| panic!("{draft:?}, {}: {e}", kind.name));
        }
    }
}

#[test]
fn code_generators_find_a_type_for_every_value_and_a_name_for_every_type() {
    for document in [batch_schema(), events_schema(), asyncapi()["components"]["schemas"].take()] {
        let mut found = Vec::new();
        objects(&document, &mut found);
        for members in found {
            let is_typed = members.contains_key("type");
            assert!(is_typed || !members.contains_key("const") && !members.contains_key("enum"), "{members:?}");
            let words = members.get("oneOf").and_then(Value::as_array).is_some_and(|of| of[0].get("const").is_some());
            assert!(!words, "a choice of words is an enum: {members:?}");
            let without = members.get("not").is_some_and(|not| not.get("required").is_some());
            assert!(!without, "some generators make nothing of an object that has a `not`: {members:?}");
        }
        let definitions = document.get("$defs").unwrap_or(&document).as_object().expect("definitions");
        for (name, definition) in definitions.iter().filter(|(_, definition)| definition.is_object()) {
            assert!(definition["title"].is_string(), "{name}");
        }
    }
}

#[test]
fn the_patterns_are_those_of_every_common_language() {
    let mut found = Vec::new();
    for schema in [batch_schema(), events_schema()] {
        values_of("pattern", &schema, &mut found);
    }
    // Java, .NET, Python and JavaScript differ in look-behinds, named groups, properties and possessive quantifiers.
    let odd = ["(?<", "(?P", "\\p{", "\\z", "\\A", "++", "*+"];
    assert!(
        !found.is_empty() && found.iter().all(|pattern| odd.iter().all(|part| !pattern.contains(part))),
        "{found:?}"
    );
}

#[test]
fn every_event_is_as_its_schema_says() {
    let schema = validator(&events_schema());
    for kind in KINDS {
        let event = kind.example();
        schema.validate(&event).unwrap_or_else(|e| panic!("{}: {e}", kind.name));
        assert_eq!(event["type"], kind.kind);
        for (key, wrong) in [("type", json!(7)), ("data", json!({})), ("specversion", json!("0.3"))] {
            let mut changed = event.clone();
            changed[key] = wrong;
            assert!(!schema.is_valid(&changed), "{} with another {key}", kind.name);
        }
    }
}
