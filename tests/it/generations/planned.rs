//! Checks that the plan of a batch says what the worker then does.

use serde_json::{Value, json};
use testmo_sim::Method;

use super::{both, changes, count, generation, rename, row_of};
use crate::support::process::command;
use crate::support::stage::Stage;

/// Returns the plan of a batch as the command prints it for programs.
fn planned(stage: &Stage, batch: &Value) -> Value {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("planned.json");
    std::fs::write(&file, batch.to_string()).expect("a file");
    let file = file.to_str().expect("a path");
    let end = command(stage).args(["tenants", "preview", "acme", file, "--online", "--json"]).output().expect("an end");
    assert!(end.status.success(), "{end:?}");
    serde_json::from_slice::<Value>(&end.stdout).expect("JSON")["plan"].clone()
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|entry| entry["plan"].as_str().expect("a word")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_says_what_becomes_of_each_case_and_changes_nothing() {
    for mut stage in both().await {
        let origin = stage.testmo.origin("acme");
        let mapping = json!({"dropped": "retire", "state_id": 4, "retired": {"state_id": 5}});
        stage.connect_with("acme", &origin, serde_json::from_value(mapping).expect("a mapping")).await;
        stage.start_worker();
        stage.publish(&generation(1, 6, "update")).await;
        let first = stage.delivered("acme/g-1").await;
        let acme = stage.account("acme");
        acme.change_case(row_of(&acme, &first, 2).id, |row| row.name = "mine".into());
        acme.delete_case(row_of(&acme, &first, 4).id);
        let mut second = generation(2, 7, "update");
        (1..=2).for_each(|case| rename(&mut second, case, &format!("new {case}")));
        second["cases"].as_array_mut().expect("cases").remove(5);
        let plan = planned(&stage, &second);
        assert_eq!(words(&plan["cases"]), ["changed", "kept", "same", "not_found", "same", "new"], "{plan}");
        assert_eq!(words(&plan["dropped"]), ["retired"]);
        assert_eq!(plan["cases"][0]["fields_written"], json!(["name"]));
        assert_eq!(plan["cases"][1]["fields_kept"], json!(["name"]));
        assert_eq!([&plan["updates"], &plan["removals"], &plan["creates"]], [&json!(1); 3]);
        assert_eq!((count(&acme, Method::Patch), count(&acme, Method::Post)), (0, 1));
        stage.publish(&second).await;
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["updated", "kept", "unchanged", "not_found", "unchanged", "created"]);
        assert_eq!(event["data"]["dropped"][0]["change"], "retired");
        assert_eq!(count(&acme, Method::Patch), 2);
        assert_eq!(planned(&stage, &generation(3, 2, "create")), Value::Null, "everything is created");
        assert_eq!(words(&planned(&stage, &generation(3, 2, "skip"))["cases"]), ["skipped"; 2]);
        stage.end().await;
    }
}
