//! Checks what becomes of cases that a batch created.

use serde_json::json;
use testmo_sim::{Method, Time};

use super::{DEPRECATED, both, case, changes, done, remembered, retires, run};
use crate::support::batches::batch;
use crate::support::stage::Stage;

/// Edits a case as a person does.
fn edit(stage: &Stage, name: &str, change: impl FnOnce(&mut testmo_sim::model::Case)) {
    let id = case(stage, name).id;
    assert!(stage.account("acme").change_case(id, |case| {
        change(case);
        (case.updated_at, case.updated_by) = (Some(Time(1_893_456_000_000)), Some(1));
    }));
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_that_nobody_touched_are_retired_and_brought_back() {
    for mut stage in both().await {
        stage.start_worker();
        stage.publish(&remembered("b-1", 5)).await;
        stage.delivered("acme/b-1").await;
        let folder = stage.account("acme").create_root_folder(1, "Elsewhere");
        edit(&stage, "b-1 case 2", |case| case.name = "mine".into());
        edit(&stage, "b-1 case 3", |case| case.folder_id = folder);
        assert!(stage.account("acme").delete_case(case(&stage, "b-1 case 4").id));
        let before = case(&stage, "b-1 case 1").state_id;

        let (code, plan) = run(&stage, "undo", "acme/b-1", &["--dry-run"]);
        assert_eq!(code, Some(2), "a plan is not agreed to: {plan}");
        let undone = done(&stage, "undo", "acme/b-1", &[]);
        assert_eq!(changes(&undone), ["retired", "left", "left", "left", "retired"], "{undone}");
        let why: Vec<&str> = (1..4).map(|at| undone["cases"][at]["left_because"].as_str().expect("a word")).collect();
        assert_eq!(why, ["edited", "moved", "not_found"]);
        let states: Vec<u64> =
            ["b-1 case 1", "mine", "b-1 case 3", "b-1 case 5"].map(|n| case(&stage, n).state_id).into();
        assert_eq!(states, [DEPRECATED, before, before, DEPRECATED]);
        let event = stage.event_of("acme/b-1").await;
        assert_eq!(event["type"], "com.sqai-suite.testmo.batch.undone.v1");
        assert_eq!((&event["data"]["outcome"], &event["data"]["revision"]), (&json!("undone"), &json!(2)));
        assert_eq!(event["data"]["cases"][1]["left_because"], "edited");

        let (code, said) = run(&stage, "undo", "acme/b-1", &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.as_str().is_some_and(|said| said.contains("there is nothing to take back")), "{said}");

        edit(&stage, "b-1 case 5", |case| case.state_id = 2);
        let restored = done(&stage, "restore", "acme/b-1", &[]);
        assert_eq!(changes(&restored), ["restored", "left"], "{restored}");
        assert_eq!((case(&stage, "b-1 case 1").state_id, case(&stage, "b-1 case 5").state_id), (before, 2));
        let event = stage.event_of("acme/b-1").await;
        assert_eq!((&event["data"]["outcome"], &event["data"]["revision"]), (&json!("delivered"), &json!(3)));
        assert_eq!(event["data"]["source"]["key"], "SHOP-1");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_generation_creates_cases_that_were_taken_back() {
    for mut stage in both().await {
        stage.start_worker();
        let mut first = remembered("b-1", 2);
        first["on_repeat"] = json!("update");
        stage.publish(&first).await;
        stage.delivered("acme/b-1").await;
        done(&stage, "undo", "acme/b-1", &[]);
        stage.event_of("acme/b-1").await;
        let mut second = first.clone();
        second["batch_id"] = json!("b-2");
        second["generated_at"] = json!("2026-12-01T09:30:00Z");
        stage.publish(&second).await;
        let event = stage.delivered("acme/b-2").await;
        let outcomes: Vec<_> =
            event["data"]["cases"].as_array().expect("cases").iter().map(|case| &case["outcome"]).collect();
        assert_eq!(outcomes, [&json!("created"); 2], "a retired case is not the same one any more");
        let (_, restored) = run(&stage, "restore", "acme/b-1", &[]);
        assert_eq!(changes(&restored), ["left", "left"], "they would be there twice: {restored}");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_without_an_id_of_their_own_are_retired_if_their_rows_show_that_nobody_edited_them() {
    let [mut stage, other] = both().await;
    other.end().await;
    stage.start_worker();
    let mut batch = batch("acme", "b-1", 2);
    for case in batch["cases"].as_array_mut().expect("cases") {
        case.as_object_mut().expect("a case").remove("external_id");
    }
    stage.publish(&batch).await;
    stage.delivered("acme/b-1").await;
    edit(&stage, "b-1 case 2", |case| case.estimate = Some(60));
    let undone = done(&stage, "undo", "acme/b-1", &[]);
    assert_eq!(changes(&undone), ["retired", "left"], "{undone}");
    assert_eq!(undone["cases"][1]["left_because"], "not_remembered");
    stage.event_of("acme/b-1").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_are_deleted_on_request_and_without_a_way_nothing_is_done() {
    for mut stage in both().await {
        retires(&stage, json!({})).await;
        stage.start_worker();
        stage.publish(&remembered("b-1", 3)).await;
        stage.delivered("acme/b-1").await;
        let (code, said) = run(&stage, "undo", "acme/b-1", &[]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(changes(&said), ["left"; 3]);
        assert_eq!(said["cases"][0]["left_because"], "no_retired_state");
        edit(&stage, "b-1 case 2", |case| case.status_id = Some(1));
        let undone = done(&stage, "undo", "acme/b-1", &["--delete"]);
        assert_eq!(changes(&undone), ["deleted", "left", "deleted"], "{undone}");
        let acme = stage.account("acme");
        assert_eq!(acme.case_names(), ["b-1 case 2"]);
        let deletes = acme.requests().into_iter().filter(|request| request.method == Method::Delete).count();
        assert_eq!(deletes, 1, "untouched cases share a request");
        stage.event_of("acme/b-1").await;
        stage.end().await;
    }
}
