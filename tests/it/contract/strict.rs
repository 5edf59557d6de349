//! Checks that the strict schema has only what structured output accepts, and that its instances are batches.

use jsonschema::Validator;
use proptest::prelude::*;
use proptest::string::string_regex;
use serde_json::{Map, Value, json};
use testmo_courier::batch::fingerprint;
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::message::lint::lint;
use testmo_courier::contract::{batch_schema, strict_batch_schema};

use super::{bytes, validator};

/// The keywords that structured output of OpenAI and of Anthropic both accept.
const KEYWORDS: [&str; 11] = [
    "$defs",
    "$ref",
    "additionalProperties",
    "anyOf",
    "description",
    "enum",
    "format",
    "items",
    "minItems",
    "pattern",
    "type",
];

/// Checks a schema and the schemas inside of it.
fn check(schema: &Value, at: &str) {
    let members = schema.as_object().unwrap_or_else(|| panic!("{at}: {schema}"));
    for key in members.keys().filter(|key| !["properties", "required"].contains(&key.as_str())) {
        assert!(KEYWORDS.contains(&key.as_str()), "{at}: {key}");
    }
    assert!(members.len() == 1 || !members.contains_key("$ref"), "{at}: a reference stands alone");
    assert!(members.get("minItems").is_none_or(|least| *least == 1), "{at}");
    let is_object = members.get("type").is_some_and(|kind| kind.to_string().contains("\"object\""));
    assert_eq!(is_object, members.contains_key("properties"), "{at}");
    if let Some(properties) = members.get("properties").and_then(Value::as_object) {
        let keys: Vec<&String> = properties.keys().collect();
        assert_eq!((&members["required"], &members["additionalProperties"]), (&json!(keys), &json!(false)), "{at}");
        properties.iter().for_each(|(key, property)| check(property, &format!("{at}/{key}")));
    }
    let choices = members.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let first = |choice: &Value| choice["properties"].as_object().and_then(|of| of.keys().next().cloned());
    let firsts: Vec<String> = choices.clone().filter_map(first).collect();
    assert!(firsts.windows(2).all(|two| two[0] != two[1]), "{at}: {firsts:?}");
    choices.chain(members.get("items")).for_each(|inner| check(inner, &format!("{at}/")));
    members.get("$defs").and_then(Value::as_object).into_iter().flatten().for_each(|(name, inner)| check(inner, name));
}

#[test]
fn the_strict_schema_has_only_what_structured_output_accepts() {
    let schema = strict_batch_schema();
    assert_eq!(schema["type"], "object", "its root is an object");
    check(&schema, "");
}

/// Returns values of a string that keep the limits in the descriptions.
fn texts(schema: &Map<String, Value>) -> BoxedStrategy<Value> {
    let pattern = match (schema.get("format"), schema.get("pattern").and_then(Value::as_str)) {
        (Some(_), _) => {
            "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T[01][0-9]:[0-5][0-9]:[0-5][0-9](Z|[+-]0[0-9]:30)"
        }
        (None, None) => "[ -~äß漢\n\t\u{1f600}]{0,40}",
        (None, Some(r"^\S.*$")) => "[!-~äß漢\u{1f600}][ -~äß漢\u{1f600}]{0,40}",
        (None, Some("^[!-~]+$")) => "[!-~]{1,20}",
        (None, Some("^[A-Za-z0-9._:@-]+$")) => "[A-Za-z0-9._:@-]{1,20}",
        (None, Some(other)) => panic!("{other}"),
    };
    string_regex(pattern).expect("a pattern").prop_map(Value::from).boxed()
}

fn instances(schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    let members = schema.as_object().expect("a schema");
    if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
        return instances(root.pointer(reference.trim_start_matches('#')).expect("a definition"), root);
    }
    if let Some(choices) = members.get("anyOf").and_then(Value::as_array) {
        return proptest::strategy::Union::new(choices.iter().map(|choice| instances(choice, root))).boxed();
    }
    if let Some(words) = members.get("enum").and_then(Value::as_array) {
        return proptest::sample::select(words.clone()).boxed();
    }
    let kinds = members["type"].as_array().cloned().unwrap_or_else(|| vec![members["type"].clone()]);
    let of = |kind: &Value| match kind.as_str().expect("a type") {
        "null" => Just(Value::Null).boxed(),
        "integer" => (1..1_000_000_u64).prop_map(Value::from).boxed(),
        "string" => texts(members),
        "array" => {
            let least = members.get("minItems").map_or(0, |_| 1);
            proptest::collection::vec(instances(&members["items"], root), least..4).prop_map(Value::from).boxed()
        }
        "object" => {
            let properties = members["properties"].as_object().expect("properties");
            let keys: Vec<String> = properties.keys().cloned().collect();
            let values: Vec<BoxedStrategy<Value>> = properties.values().map(|of| instances(of, root)).collect();
            let object = move |values: Vec<Value>| Value::Object(keys.iter().cloned().zip(values).collect());
            values.prop_map(object).boxed()
        }
        other => panic!("{other}"),
    };
    proptest::strategy::Union::new(kinds.iter().map(of)).boxed()
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

thread_local! {
    static SCHEMAS: (Validator, Validator) = (validator(&strict_batch_schema()), validator(&batch_schema()));
}

#[test]
fn the_example_of_the_guide_is_an_instance_and_a_batch_without_anything_to_say() {
    let guide = include_str!("../../../docs/writing-for-testmo.md");
    let (_, rest) = guide.rsplit_once("\n```json\n").expect("a message");
    let message = rest.split("\n```").next().expect("its end").as_bytes();
    let value: Value = serde_json::from_slice(message).expect("JSON");
    validator(&strict_batch_schema()).validate(&value).unwrap_or_else(|e| panic!("{e}"));
    let findings = lint(message);
    assert_eq!((findings.faults, findings.warnings), (vec![], vec![]));
}

proptest! {
    #[test]
    fn every_instance_of_the_strict_schema_is_a_batch(message in instances(&strict_batch_schema(), &strict_batch_schema())) {
        SCHEMAS.with(|(strict, normal)| {
            strict.validate(&message).unwrap_or_else(|e| panic!("{e}: {message}"));
            normal.validate(&message).unwrap_or_else(|e| panic!("{e}: {message}"));
        });
        let ids: Vec<&str> = message["cases"].as_array().expect("cases").iter().filter_map(|case| case["external_id"].as_str()).collect();
        let unique: std::collections::BTreeSet<&str> = ids.iter().map(|id| id.trim()).collect();
        prop_assume!(unique.len() == ids.len() && !unique.iter().any(|id| id.starts_with('#')));
        // A batch replaces another one, and then it does not create what exists.
        prop_assume!(message["replaces"] != message["batch_id"]);
        prop_assume!(message["replaces"].is_null() || message["on_repeat"] != "create");
        let batch = decode(&bytes(&message)).map_err(|broken| TestCaseError::fail(broken.detail()))?;
        let faulty = batch.cases.iter().find_map(|case| case.faulty.as_ref());
        prop_assert!(faulty.is_none(), "{faulty:?} {message}");
        let plain = decode(&bytes(&without_nulls(&message))).map_err(|broken| TestCaseError::fail(broken.detail()))?;
        prop_assert_eq!(fingerprint(&plain), fingerprint(&batch), "null is the same as an absent key");
    }
}
