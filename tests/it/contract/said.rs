//! Checks what validators say about messages that break the schema.

use serde_json::{Value, json};
use testmo_courier::contract::{batch_example, batch_schema};

use super::validator;

/// Returns messages that break the schema, and what a validator has to say where.
fn broken() -> Vec<(Value, &'static str, &'static str)> {
    let with = |pointer: &str, key: &str, value: Value| {
        let mut message = serde_json::to_value(batch_example()).expect("JSON");
        message.pointer_mut(pointer).expect("a place")[key] = value;
        message
    };
    vec![
        (with("/cases/0", "gherkin", json!("Scenario: both")), "/cases/0", "either steps or gherkin, not both"),
        (with("", "folder_id", json!(7)), "", "either folder_path or folder_id, not both"),
        (with("", "source", json!("SHOP-142")), "/source", "object"),
        (with("/source", "titel", json!("Pay")), "/source", "titel"),
        (with("/source", "key", json!(142)), "/source/key", "string"),
        (with("", "format", json!("html")), "/format", "markdown"),
        (with("/cases/0", "format", json!("html")), "/cases/0/format", "markdown"),
        (with("/cases/0", "priority", json!(1)), "/cases/0/priority", "string"),
        (with("/cases/0", "priority", json!({"name": "High"})), "/cases/0/priority", "string"),
    ]
}

#[test]
fn a_validator_names_the_place_and_the_rule() {
    let schema = validator(&batch_schema());
    for (message, place, rule) in broken() {
        let errors: Vec<(String, String)> =
            schema.iter_errors(&message).map(|error| (error.instance_path().to_string(), error.to_string())).collect();
        let [(at, said)] = errors.as_slice() else { panic!("{errors:?}") };
        assert!(at == place && said.contains(rule), "{at}: {said}");
        assert!(!said.contains("False schema") && !said.contains("under any of"), "{said}");
    }
}
