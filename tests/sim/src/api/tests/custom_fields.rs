//! Checks the handling of custom fields.

use serde_json::{Value, json};

use super::{Desk, desk, fault_keys};
use crate::model::{DropdownForm, RichText};
use crate::response::Response;

fn create_with(desk: &mut Desk, template: u64, custom: Value) -> Response {
    let mut case = json!({ "name": "a", "folder_id": 10, "template_id": template });
    for (column, value) in custom.as_object().unwrap() {
        case[column] = value.clone();
    }
    desk.create(json!([case]))
}

#[test]
fn rich_text_is_saved_as_an_editor_does() {
    let mut desk = desk();
    desk.settings().rich_text = RichText::Sanitized;
    let made = create_with(&mut desk, 1, json!({ "custom_expected": "a & b &lt; c", "custom_description": null }));
    assert_eq!(made.value()["result"][0]["custom_expected"], "a &amp; b &lt; c");
    let gherkin = "<pre><code class='editor-gherkin'>Given a &amp; b\n  Then &lt;c&gt;</code></pre>";
    let made = create_with(&mut desk, 4, json!({ "custom_feature": format!("{gherkin}<c onclick=\"d\">") }));
    assert_eq!(made.value()["result"][0]["custom_feature"], gherkin);
}

#[test]
fn steps_are_numbered_and_name_their_case() {
    let steps = json!([{ "text1": "<p>second & last</p>", "display_order": 2 },
                       { "text1": "first", "text3": "seen", "display_order": 1 }]);
    let made = create_with(&mut desk(), 2, json!({ "custom_steps": steps })).value();
    assert_eq!(
        made["result"][0]["custom_steps"],
        json!([{ "column_name": "custom_steps", "id": 1, "case_id": 101, "display_order": 1,
                 "text1": "first", "text2": null, "text3": "seen", "text4": null },
               { "column_name": "custom_steps", "id": 2, "case_id": 101, "display_order": 2,
                 "text1": "<p>second &amp; last</p>", "text2": null, "text3": null, "text4": null }])
    );
}

#[test]
fn wrong_custom_fields_are_422_at_their_column() {
    for (template, custom, key) in [
        (1, json!({ "custom_steps": [] }), "custom_steps"),
        (2, json!({ "custom_expected": "x" }), "custom_expected"),
        (2, json!({ "custom_invented": "x" }), "custom_invented"),
        (2, json!({ "custom_priority": 9 }), "custom_priority"),
        (2, json!({ "custom_priority": "2" }), "custom_priority"),
        (2, json!({ "custom_description": 5 }), "custom_description"),
        (2, json!({ "custom_steps": "1. click" }), "custom_steps"),
        (2, json!({ "custom_steps": ["click"] }), "custom_steps.0"),
        (2, json!({ "custom_steps": [{ "text1": 1 }] }), "custom_steps.0.text1"),
        (2, json!({ "custom_steps": [{ "expected": "x" }] }), "custom_steps.0.expected"),
    ] {
        let refusal = create_with(&mut desk(), template, custom.clone());
        assert_eq!((refusal.status, fault_keys(&refusal)), (422, vec![format!("cases.0.{key}")]), "{custom}");
    }
}

#[test]
fn required_custom_fields_must_be_filled_where_the_template_has_them() {
    let mut desk = desk();
    desk.settings().required_fields = vec!["custom_expected".into()];
    for (template, custom, status) in [
        (1, json!({}), 422),
        (1, json!({ "custom_expected": null }), 422),
        (1, json!({ "custom_expected": " " }), 422),
        (1, json!({ "custom_expected": "x" }), 201),
        (2, json!({}), 201),
    ] {
        let answer = create_with(&mut desk, template, custom.clone());
        assert_eq!(answer.status, status, "{template} {custom}");
        if status == 422 {
            assert_eq!(fault_keys(&answer), ["cases.0.custom_expected"]);
        }
    }
    let ids = json!({ "ids": [101], "name": "b" });
    assert_eq!(fault_keys(&desk.patch("/projects/3/cases", ids)), ["custom_expected"]);
}

#[test]
fn dropdowns_can_be_shown_as_objects() {
    let mut desk = desk();
    create_with(&mut desk, 2, json!({ "custom_priority": 1 }));
    let priority = |desk: &mut Desk| desk.get("/projects/3/cases").value()["result"][0]["custom_priority"].clone();
    assert_eq!(priority(&mut desk), 1);
    desk.settings().dropdown_form = DropdownForm::Object;
    assert_eq!(priority(&mut desk), json!({ "id": 1, "name": "High" }));
}

#[test]
fn a_text_field_can_be_missing_from_list_rows_though_the_echo_has_it() {
    let mut desk = desk();
    desk.settings().hidden_in_lists = vec!["custom_description".into()];
    let made = create_with(&mut desk, 2, json!({ "custom_description": "x" })).value();
    assert_eq!(made["result"][0]["custom_description"], "x");
    let listed = desk.get("/projects/3/cases").value();
    assert_eq!(listed["result"][0].get("custom_description"), None);
}
