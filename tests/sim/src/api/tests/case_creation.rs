//! Checks which cases are created, and which requests are refused.

use serde_json::{Value, json};

use super::{column, desk, fault_keys};
use crate::model::{Integration, UnknownFields};

#[test]
fn cases_come_back_in_request_order_with_consecutive_ids_and_one_moment() {
    let mut desk = desk();
    let made = desk.create(json!([
        { "name": "b", "folder_id": 10 }, { "name": "a", "folder_id": 12 }, { "name": "b", "folder_id": 10 } ]));
    assert_eq!((made.status, made.created.clone()), (201, vec![101, 102, 103]));
    assert_eq!(column(&made, "name"), ["b", "a", "b"]);
    assert_eq!(column(&made, "created_at"), ["2026-07-31 09:32:21.067000"; 3]);
}

#[test]
fn the_echo_has_every_key() {
    let made = desk().create(json!([{ "name": "x", "folder_id": 10, "tags": ["PSIM", "Astock"], "estimate": 300 }]));
    assert_eq!(
        made.value()["result"][0],
        json!({ "id": 101, "key": 101, "name": "x", "project_id": 3, "repo_id": 3, "folder_id": 10,
                "template_id": 2, "state_id": 4, "status_id": null, "status_at": null, "estimate": 300,
                "forecast": null, "has_automation": false, "has_automation_status": false,
                "created_at": "2026-07-31 09:32:21.067000", "created_by": 2, "updated_at": null,
                "updated_by": null, "custom_priority": null, "custom_description": null,
                "custom_preconditions": null, "custom_steps": null, "automation_links": [],
                "tags": [{ "tag_id": 2 - 1, "name": "astock" }, { "tag_id": 2, "name": "psim" }], "issues": [] })
    );
}

#[test]
fn an_object_of_indices_is_taken_as_well() {
    let body = json!({ "cases": { "0": { "name": "a", "folder_id": 10 }, "1": { "name": "b", "folder_id": 10 } } });
    let made = desk().post("/projects/3/cases", body);
    assert_eq!(column(&made, "name"), ["a", "b"]);
}

#[test]
fn a_request_without_entries_is_refused_in_the_recorded_words() {
    let words = "The cases must have at least 1 items.";
    for body in [json!({ "name": "bare" }), json!([]), json!({ "cases": [] }), json!({ "cases": null })] {
        let refusal = desk().post("/projects/3/cases", body);
        let expected = json!({ "message": words, "errors": { "cases": [words] } });
        assert_eq!((refusal.status, refusal.value()), (422, expected));
    }
}

#[test]
fn a_hundred_cases_pass_and_one_more_does_not() {
    let cases = |n| Value::from(vec![json!({ "name": "x", "folder_id": 10 }); n]);
    assert_eq!(desk().create(cases(100)).created.len(), 100);
    assert_eq!(desk().create(cases(101)).status, 422);
}

#[test]
fn one_wrong_entry_refuses_all_under_its_index() {
    for (case, key) in [
        (json!({ "folder_id": 10 }), "name"),
        (json!({ "name": null }), "name"),
        (json!({ "name": " \t" }), "name"),
        (json!({ "name": 5 }), "name"),
        (json!({ "name": "x".repeat(513) }), "name"),
        (json!({ "name": "a", "folder_id": 99 }), "folder_id"),
        (json!({ "name": "a", "folder_id": 20 }), "folder_id"),
        (json!({ "name": "a", "folder_id": 0 }), "folder_id"),
        (json!({ "name": "a", "folder_id": null }), "folder_id"),
        (json!({ "name": "a", "folder_id": "10" }), "folder_id"),
        (json!({ "name": "a", "folder_id": 10.5 }), "folder_id"),
        (json!({ "name": "a", "template_id": 3 }), "template_id"),
        (json!({ "name": "a", "template_id": "2" }), "template_id"),
        (json!({ "name": "a", "state_id": 9 }), "state_id"),
        (json!({ "name": "a", "estimate": "5m" }), "estimate"),
        (json!({ "name": "a", "tags": ["two words"] }), "tags"),
        (json!({ "name": "a", "tags": ["a", "#b"] }), "tags"),
        (json!({ "name": "a", "tags": "a" }), "tags"),
        (json!({ "name": "a", "tags": [1] }), "tags.0"),
        (json!({ "name": "a", "issues": [1] }), "issues.0"),
        (json!({ "name": "a", "automation_links": [1] }), "automation_links.0"),
        (json!({ "name": "a", "status_id": 1 }), "status_id"),
        (json!({ "name": "a", "description": "x" }), "description"),
    ] {
        let mut desk = desk();
        let refusal = desk.create(json!([{ "name": "fine", "folder_id": 10 }, case]));
        assert_eq!((refusal.status, fault_keys(&refusal)), (422, vec![format!("cases.1.{key}")]), "{case}");
        assert_eq!(desk.get("/projects/3/cases").value()["total"], 0);
        assert_eq!(desk.create_named(&["next"]), [101], "a refusal uses no id");
    }
}

#[test]
fn every_fault_is_told_and_the_first_one_leads() {
    let refusal = desk().create(json!([{ "folder_id": 99 }, { "name": "a", "tags": ["b c"] }]));
    assert_eq!(fault_keys(&refusal), ["cases.0.name", "cases.0.folder_id", "cases.1.tags"]);
    let value = refusal.value();
    assert_eq!(value["message"], "The cases.0.name field is required. (and 2 more errors)");
    let words = "The cases.1.tags field contains one or more invalid tag names.";
    assert_eq!(value["errors"]["cases.1.tags"], json!([words]));
}

#[test]
fn names_stay_byte_for_byte_but_for_their_ends() {
    let name = "& &amp; \" < > | # @ 試験 🎉  two  spaces";
    let made = desk().create(json!([{ "name": format!("\n {name} \t"), "folder_id": 10 }]));
    assert_eq!(column(&made, "name"), [name]);
    let long = "é".repeat(512);
    assert_eq!(desk().create(json!([{ "name": long, "folder_id": 10 }])).status, 201);
}

#[test]
fn each_case_without_a_folder_gets_a_new_one() {
    let mut desk = desk();
    let made = desk.create(json!([{ "name": "a" }, { "name": "b" }]));
    assert_eq!(column(&made, "folder_id"), ["21", "22"]);
    assert_eq!(desk.names("/projects/3/folders").len(), 5);
}

#[test]
fn unknown_plain_fields_can_be_ignored_instead() {
    let mut desk = desk();
    desk.settings().unknown_fields = UnknownFields::Ignore;
    assert_eq!(desk.create(json!([{ "name": "a", "folder_id": 10, "description": "x" }])).status, 201);
}

#[test]
fn issues_are_found_or_made_for_connected_trackers() {
    let mut desk = desk();
    let tracker = Integration {
        integration_id: 1,
        integration_name: "Jira".into(),
        integration_type: 4,
        connection_project_id: 10006,
    };
    desk.account().integrations.push(tracker);
    let issue = |integration| json!([{ "display_id": "ABC-12", "integration_id": integration }]);
    let case = |issues| json!([{ "name": "a", "folder_id": 10, "issues": issues }]);
    for _ in 0..2 {
        let made = desk.create(case(issue(1))).value();
        assert_eq!(made["result"][0]["issues"][0]["issue_id"], 1);
    }
    assert_eq!(desk.create(case(json!([1]))).status, 201);
    let refusal = desk.create(case(issue(2)));
    assert_eq!(fault_keys(&refusal), ["cases.0.issues.0.integration_id"]);
}
