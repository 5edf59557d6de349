//! Enters mappings that use the names that Testmo shows.

use super::{End, KEY, with_testmo};

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_can_say_the_names_that_testmo_shows() {
    let (folder, server) = with_testmo().await;
    let mapping = r#"{"template": "Case (steps)", "gherkin_template": "Case (BDD)", "state": "Draft",
        "description": "Description", "priority": {"column": "Priority", "values": {"critical": "High", "low": 3}},
        "fixed": {"Priority": "Normal"}}"#;
    std::fs::write(folder.path().join("mapping.json"), mapping).unwrap();
    folder.set(KEY, &["--mapping", "mapping.json"]).is(0, &["green"]);
    let shown = folder.courier(&["tenants", "show", "acme"]);
    shown.is(0, &["\"state\": \"Draft\"", "resolved mapping", "\"template_id\": 2", "\"custom_priority\": 2"]);

    std::fs::write(folder.path().join("wrong.json"), r#"{"state": "Drafft", "steps": "Stepps"}"#).unwrap();
    let told = [
        "amber",
        "\"Drafft\" does not exist; did you mean \"Draft\"? available: \"Draft\", \"Review\"",
        "`steps`",
        "\"Steps\"",
        "Saved, but not in force",
    ];
    folder.courier(&["tenants", "set", "acme", "--mapping", "wrong.json"]).is(1, &told);
    let batch = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/demo/batches/01-shop-vouchers-de.json");
    folder.courier(&["tenants", "preview", "acme", batch]).is(0, &["batch", "custom_steps"]);
    let origin = folder.origin.clone().unwrap();
    let other =
        ["tenants", "set", "other", "--base-url", &origin, "--project", "1", "--folder", "1", "--api-key-stdin"];
    let told = ["red    other", "\"Drafft\" does not exist", "Saved, but not working yet"];
    folder.courier_reading(KEY, &[&other[..], &["--mapping", "wrong.json"]].concat()).is(1, &told);
    folder.courier(&["tenants", "preview", "other", batch]).is(1, &["names in the mapping are not resolved yet"]);

    // If Testmo lists nothing, names cannot be resolved; ids and columns work without the lists.
    server.account("acme").change_settings(|settings| settings.states_route = false);
    std::fs::write(folder.path().join("state.json"), r#"{"state": "Draft"}"#).unwrap();
    let told = ["does not list its states", "write the id"];
    folder.courier(&["tenants", "set", "acme", "--mapping", "state.json"]).is(1, &told);
    server.account("acme").change_settings(|settings| settings.fields_route = false);
    std::fs::write(folder.path().join("ids.json"), r#"{"state": 1, "template_id": 2}"#).unwrap();
    folder.courier(&["tenants", "set", "acme", "--mapping", "ids.json"]).is(0, &["green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_comes_to_mean_something_else_makes_another_version() {
    let (folder, server) = with_testmo().await;
    std::fs::write(folder.path().join("mapping.json"), r#"{"state": "Draft"}"#).unwrap();
    folder.set(KEY, &["--mapping", "mapping.json"]).is(0, &["green"]);
    let version = |end: &End| {
        let shown: serde_json::Value = serde_json::from_str(&end.out).unwrap();
        (shown["version"].clone(), shown["resolved_mapping"]["state_id"].clone())
    };
    let before = version(&folder.courier(&["tenants", "show", "acme", "--json"]));
    server.account("acme").with(|station| station.account.states[0].id = 77);
    folder.courier(&["tenants", "verify", "acme"]).is(0, &["green"]);
    let after = version(&folder.courier(&["tenants", "show", "acme", "--json"]));
    assert_eq!((before.1, after.1), (serde_json::json!(1), serde_json::json!(77)));
    assert_ne!(before.0, after.0);
    server.account("acme").with(|station| station.account.states.clear());
    folder.courier(&["tenants", "verify", "acme"]).is(1, &["red", "\"Draft\" does not exist"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_project_does_not_have_is_reported_before_anything_is_sent() {
    let (folder, server) = with_testmo().await;
    std::fs::write(
        folder.path().join("ids.json"),
        r#"{"state_id": 9, "template_id": 2, "steps": "custom_stepps",
        "priority": {"column": "custom_priority", "values": {"low": 77}}}"#,
    )
    .unwrap();
    let told = [
        "in the mapping: `state`: the project has no state 9; available: 1 Draft, 2 Review",
        "no field with the column `custom_stepps`; did you mean \"custom_steps\"?",
        "`priority.values.low`",
    ];
    folder.set(KEY, &["--mapping", "ids.json", "--dry-run"]).is(1, &[&told[..], &["Nothing was saved"]].concat());
    folder
        .set(KEY, &["--mapping", "ids.json"])
        .is(1, &[&told[..], &["red    acme", "Saved, but not working yet"]].concat());
    folder.courier(&["tenants", "verify", "acme"]).is(1, &[&told[..], &["red    acme"]].concat());
    // Beside a connection in force, an id that is wrong is kept out as a wrong name is.
    std::fs::write(folder.path().join("right.json"), r#"{"state_id": 1, "template_id": 2}"#).unwrap();
    folder.courier(&["tenants", "set", "acme", "--mapping", "right.json"]).is(0, &["green"]);
    let change = ["tenants", "set", "acme", "--mapping", "ids.json"];
    for options in [&["--dry-run"][..], &[]] {
        folder.courier(&[&change[..], options].concat()).is(1, &[&told[..], &["amber  acme"]].concat());
    }
    assert_eq!(folder.shown()["resolved_mapping"]["state_id"], 1);
    folder.courier(&["tenants", "verify", "acme"]).is(1, &["connected as", "not in force", "has no state 9"]);
    // A Testmo that lists nothing says nothing about ids and columns.
    let nothing = |settings: &mut testmo_sim::model::Settings| {
        (settings.fields_route, settings.templates_route, settings.states_route) = (false, false, false);
    };
    server.account("acme").change_settings(nothing);
    folder.courier(&["tenants", "verify", "acme"]).is(0, &["The last change works now", "green"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_that_the_project_does_not_list_keeps_nobody_out() {
    let (folder, server) = with_testmo().await;
    server.account("acme").with(|station| station.account.fields.retain(|field| field.column_name != "custom_steps"));
    folder.set(KEY, &[]).is(0, &["amber  acme", "no field with the column `custom_steps`"]);
    std::fs::write(folder.path().join("wrong.json"), r#"{"steps": "custom_steps", "state_id": 9}"#).unwrap();
    let change = folder.courier(&["tenants", "set", "acme", "--mapping", "wrong.json"]);
    change.is(1, &["in the mapping: `state`: the project has no state 9", "not in force"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_project_loses_later_is_reported_and_does_not_stop_a_mapping_that_worked() {
    let (folder, server) = with_testmo().await;
    std::fs::write(folder.path().join("ids.json"), r#"{"state_id": 1, "template_id": 2}"#).unwrap();
    folder.set(KEY, &["--mapping", "ids.json"]).is(0, &["green"]);
    server.account("acme").with(|station| station.account.states.retain(|state| state.id != 1));
    let told =
        ["amber  acme", "Testmo will probably refuse what the mapping sends: `state`: the project has no state 1"];
    folder.courier(&["tenants", "verify", "acme"]).is(0, &told);
    folder.courier(&["tenants", "set", "acme", "--expires", "2029-12-31"]).is(0, &told);
    folder.courier(&["tenants", "list"]).is(0, &["amber  acme", "Testmo will probably refuse"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_is_drafted_from_what_the_project_has_and_entered_as_it_is() {
    let (folder, _server) = with_testmo().await;
    folder.courier(&["tenants", "mapping", "draft", "acme"]).is(1, &["there is no connection of tenant acme"]);
    folder.set(KEY, &[]).is(0, &["green"]);
    let draft = folder.courier(&["tenants", "mapping", "draft", "acme"]);
    draft.is(
        0,
        &["// A mapping for tenant acme", "\"steps\": \"custom_steps\",", "// \"gherkin_template\": \"Case (BDD)\","],
    );
    std::fs::write(folder.path().join("mapping.json"), &draft.out).unwrap();
    folder.courier(&["tenants", "set", "acme", "--mapping", "mapping.json"]).is(0, &["green"]);
    let resolved = &folder.shown()["resolved_mapping"];
    assert_eq!(resolved["priority"]["values"], serde_json::json!({"critical": 1, "high": 1, "normal": 2, "low": 3}));
    assert_eq!(resolved["description"], "custom_description");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_is_drafted_only_from_lists_that_were_read() {
    let (folder, server) = with_testmo().await;
    server.account("acme").change_settings(|settings| settings.fields_route = false);
    folder.set(KEY, &[]).is(0, &["green"]);
    folder.courier(&["tenants", "mapping", "draft", "acme"]).is(1, &["is not known", "tenants verify acme"]);
}
