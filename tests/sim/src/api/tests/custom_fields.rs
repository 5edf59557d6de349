//! Checks the handling of custom fields.

use serde_json::{Value, json};

use super::{Desk, desk, fault_keys};
use crate::model::{Choice, DropdownForm, Field, FieldKind, FieldTypes, RichText};
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
    let made = create_with(
        &mut desk,
        1,
        json!({ "custom_steps_text": "x", "custom_expected": "a & b &lt; c", "custom_description": null }),
    );
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

/// Adds a field of each kind to every template.
fn add_fields(desk: &mut Desk) {
    let choice = |(id, value): (i64, &str)| Choice { id, value: value.into() };
    let fields = [
        ("custom_team", FieldKind::MultiSelect),
        ("custom_automated", FieldKind::Checkbox),
        ("custom_day", FieldKind::Date),
        ("custom_risk", FieldKind::Number),
        ("custom_link", FieldKind::Link),
    ];
    let account = desk.account();
    for ((column, kind), id) in fields.into_iter().zip(20..) {
        let options = if kind == FieldKind::MultiSelect { vec![(11, "Payments"), (12, "Login")] } else { vec![] };
        let options = options.into_iter().map(choice).collect();
        account.fields.push(Field { id, column_name: column.into(), name: column.into(), kind, options });
        account.templates.iter_mut().for_each(|template| template.columns.push(column.into()));
    }
}

#[test]
fn fields_of_every_kind_take_their_own_values_only() {
    for (custom, fault) in [
        (json!({ "custom_team": [11, 12], "custom_automated": true, "custom_day": "2026-11-30" }), ""),
        (json!({ "custom_risk": 2.5, "custom_link": "https://shop.example/?a=1" }), ""),
        (json!({ "custom_team": [], "custom_automated": null }), ""),
        (json!({ "custom_team": 11 }), "custom_team"),
        (json!({ "custom_team": ["Payments"] }), "custom_team.0"),
        (json!({ "custom_team": [11, 13] }), "custom_team.1"),
        (json!({ "custom_automated": "yes" }), "custom_automated"),
        (json!({ "custom_automated": 1 }), "custom_automated"),
        (json!({ "custom_day": "30.11.2026" }), "custom_day"),
        (json!({ "custom_day": "2026-02-30" }), "custom_day"),
        (json!({ "custom_day": 7 }), "custom_day"),
        (json!({ "custom_risk": "3" }), "custom_risk"),
        (json!({ "custom_link": "shop" }), "custom_link"),
        (json!({ "custom_link": "https://a b" }), "custom_link"),
    ] {
        let mut desk = desk();
        add_fields(&mut desk);
        let answer = create_with(&mut desk, 2, custom.clone());
        let faults: Vec<String> = if fault.is_empty() { vec![] } else { vec![format!("cases.0.{fault}")] };
        assert_eq!((answer.status == 201, fault_keys(&answer)), (fault.is_empty(), faults), "{custom}");
    }
}

#[test]
fn a_multi_select_field_is_written_by_ids_and_read_with_names() {
    let mut desk = desk();
    add_fields(&mut desk);
    let shown = json!([{ "id": 12, "name": "Login" }]);
    let made = create_with(&mut desk, 2, json!({ "custom_team": [12] })).value();
    assert_eq!(made["result"][0]["custom_team"], shown);
    assert_eq!(desk.get("/projects/3/cases").value()["result"][0]["custom_team"], shown);
    let fields = desk.get("/projects/3/fields").value();
    let of = |column: &str| {
        let fields = fields["result"].as_array().unwrap();
        fields.iter().find(|field| field["column_name"] == column).unwrap().clone()
    };
    assert_eq!((&of("custom_team")["is_multi"], &of("custom_priority")["is_multi"]), (&json!(true), &json!(false)));
    assert_eq!(of("custom_priority")["type"], 8);
    assert_eq!(of("custom_team").get("is_required"), None);
    desk.settings().field_types = FieldTypes::Words;
    desk.settings().shows_required = true;
    desk.settings().required_fields = vec!["custom_link".into()];
    assert_eq!(super::column(&desk.get("/projects/3/fields"), "is_required").last().unwrap(), "true");
    assert_eq!(super::column(&desk.get("/projects/3/fields"), "type").last().unwrap(), "link");
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
