//! Checks the form of projects and lookups.

use serde_json::{Value, json};

use super::{column, desk};

#[test]
fn only_open_projects_are_listed() {
    let mut desk = desk();
    assert_eq!(desk.names("/projects"), ["Open"]);
    desk.token = "admin";
    assert_eq!(desk.names("/projects"), ["Closed", "Open"]);
    assert_eq!(desk.names("/projects?order=asc&sort=projects:created_at"), ["Open", "Closed"]);
    assert!(desk.names("/projects?is_completed=1").is_empty());
}

#[test]
fn a_project_is_wrapped_and_has_no_counter_of_cases() {
    let shown = desk().get("/projects/3").value();
    assert_eq!(shown["expands"], json!([]));
    assert_eq!(shown["result"]["name"], "Open");
    assert_eq!(shown["result"]["created_at"], "2026-07-31T09:32:21.067Z");
    assert_eq!(shown["result"]["run_active_count"], 0);
    assert_eq!(shown["result"].get("case_count"), None);
}

#[test]
fn templates_are_not_paged_and_tell_no_columns() {
    let shown = desk().get("/projects/3/templates").value();
    let templates = shown["result"].as_array().unwrap();
    let ids: Vec<&Value> = templates.iter().map(|template| &template["id"]).collect();
    assert_eq!((ids, shown.get("page")), (vec![&json!(1), &json!(2), &json!(4)], None));
    let priority = &templates[1]["fields"][0];
    let options = json!([{ "id": 1, "value": "High" }, { "id": 2, "value": "Normal" }, { "id": 3, "value": "Low" }]);
    assert_eq!(priority, &json!({ "id": 1, "name": "Priority", "type": 8, "options": options }));
    assert_eq!(templates[1]["is_default"], true);
}

#[test]
fn fields_states_tags_and_users_are_listed() {
    let mut desk = desk();
    desk.create(json!([{ "name": "a", "folder_id": 10, "tags": ["x"] }]));
    for (below, key, expected) in [
        ("fields?entity=repository_case&per_page=15", "column_name", "custom_priority"),
        ("states", "name", "Draft"),
        ("tags", "name", "x"),
        ("tags", "usage_count", "1"),
        ("users", "name", "admin bot"),
    ] {
        let answer = desk.get(&format!("/projects/3/{below}"));
        assert_eq!((answer.status, column(&answer, key)[0].as_str()), (200, expected), "{below}");
    }
    assert_eq!(desk.get("/issues/connections").value()["total"], 0);
}

#[test]
fn lookup_routes_can_be_missing() {
    let mut desk = desk();
    let settings = desk.settings();
    settings.templates_route = false;
    settings.fields_route = false;
    settings.states_route = false;
    settings.tags_route = false;
    for route in ["templates", "fields", "states", "tags"] {
        let refusal = desk.get(&format!("/projects/3/{route}"));
        let words = format!("The route api/v1/projects/3/{route} could not be found.");
        assert_eq!((refusal.status, refusal.value()["message"].as_str()), (404, Some(words.as_str())));
    }
}

#[test]
fn a_project_lists_its_repository_the_statuses_and_no_configurations() {
    let mut desk = desk();
    assert_eq!(desk.names("/projects/3/repos"), ["Open"]);
    assert_eq!(desk.names("/projects/3/configs"), [""; 0]);
    assert_eq!(desk.names("/projects/3/statuses")[1], "Passed");
    assert_eq!(desk.names("/projects/3/users").len(), 3);
}
