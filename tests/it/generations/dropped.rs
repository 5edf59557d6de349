//! Checks what is done with cases that a later generation does not have any more.

use serde_json::{Value, json};
use testmo_sim::Method;
use testmo_sim::faults::{CutAt, Fault, PathKind, Rule};

use super::{both, changes, count, generation, row_of};
use crate::support::process::command;
use crate::support::stage::Stage;

/// The state "Deprecated" of a fresh project.
const DEPRECATED: u64 = 5;

async fn with_mapping(stage: &Stage, mapping: Value) {
    let origin = stage.testmo.origin("acme");
    stage.connect_with("acme", &origin, serde_json::from_value(mapping).expect("a mapping")).await;
}

/// Returns a generation without some of its cases, by their positions from 1.
fn without(n: usize, cases: usize, dropped: &[usize]) -> Value {
    let mut batch = generation(n, cases, "update");
    let list = batch["cases"].as_array_mut().expect("cases");
    let mut position = 0;
    list.retain(|_| {
        position += 1;
        !dropped.contains(&position)
    });
    batch
}

/// Returns what an event says was done with each case that is no longer generated, in the order of their ids.
fn dropped(event: &Value) -> Vec<String> {
    let word = |entry: &Value| {
        let why = entry.get("kept_because").and_then(Value::as_str).map(|why| format!(": {why}"));
        entry["change"].as_str().expect("a word").to_owned() + &why.unwrap_or_default()
    };
    event["data"].get("dropped").and_then(Value::as_array).into_iter().flatten().map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_that_are_no_longer_generated_are_left_by_default_and_listed() {
    for mut stage in both().await {
        stage.start_worker();
        stage.publish(&generation(1, 4, "update")).await;
        let first = stage.delivered("acme/g-1").await;
        assert_eq!(first["data"].get("dropped"), None);
        stage.publish(&without(2, 5, &[2, 3])).await;
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["unchanged", "unchanged", "created"]);
        assert_eq!(dropped(&event), ["left"; 2]);
        let entry = &event["data"]["dropped"][0];
        assert_eq!(entry["testmo_id"], first["data"]["cases"][1]["testmo_id"]);
        assert_eq!((&entry["link"], &entry["batch_id"]), (&first["data"]["cases"][1]["link"], &json!("g-1")));
        let acme = stage.account("acme");
        assert_eq!((acme.cases().len(), count(&acme, Method::Patch), count(&acme, Method::Delete)), (5, 0, 0));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_cases_that_nobody_touched_are_retired_and_they_come_back() {
    for mut stage in both().await {
        let acme = stage.account("acme");
        let folder = acme.create_folder(1, 1, "retired");
        let mapping =
            json!({"dropped": "retire", "state_id": 4, "retired": {"state_id": DEPRECATED, "folder_id": folder}});
        with_mapping(&stage, mapping).await;
        stage.start_worker();
        stage.publish(&generation(1, 6, "update")).await;
        let first = stage.delivered("acme/g-1").await;
        acme.change_case(row_of(&acme, &first, 3).id, |row| row.name = "mine".into());
        acme.change_case(row_of(&acme, &first, 4).id, |row| row.state_id = 2);
        acme.delete_case(row_of(&acme, &first, 5).id);
        stage.publish(&without(2, 6, &[1, 2, 3, 4, 5])).await;
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(dropped(&event), ["retired", "retired", "kept: edited", "kept: edited", "not_found"]);
        assert_eq!(count(&acme, Method::Patch), 1, "both get the same in one request");
        for case in [1, 2] {
            let row = row_of(&acme, &first, case);
            assert_eq!((row.state_id, row.folder_id), (DEPRECATED, folder));
        }
        assert_eq!(row_of(&acme, &first, 3).name, "mine");
        let shown = command(&stage).args(["batches", "show", "acme/g-2"]).output().expect("an end");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("no longer generated") && shown.contains("kept: edited by a person"), "{shown}");

        // What was retired is left alone, and is brought back if it is generated again.
        stage.publish(&without(3, 6, &[2, 3, 4, 5])).await;
        let event = stage.delivered("acme/g-3").await;
        assert_eq!(changes(&event), ["updated", "unchanged"]);
        assert_eq!(event["data"]["cases"][0]["testmo_id"], first["data"]["cases"][0]["testmo_id"]);
        assert_eq!(dropped(&event), ["kept: edited", "kept: edited", "not_found"]);
        let back = row_of(&acme, &first, 1);
        assert_eq!((back.state_id, back.folder_id == folder), (4, false));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_cases_that_nobody_touched_are_deleted_and_later_created_again() {
    for mut stage in both().await {
        with_mapping(&stage, json!({"dropped": "delete"})).await;
        stage.start_worker();
        stage.publish(&generation(1, 4, "update")).await;
        let first = stage.delivered("acme/g-1").await;
        let acme = stage.account("acme");
        acme.change_case(row_of(&acme, &first, 3).id, |row| row.name = "mine".into());
        stage.publish(&without(2, 4, &[1, 2, 3])).await;
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(dropped(&event), ["deleted", "deleted", "kept: edited"], "{event}");
        assert_eq!((acme.cases().len(), count(&acme, Method::Delete)), (2, 1));
        stage.publish(&generation(3, 4, "update")).await;
        let event = stage.delivered("acme/g-3").await;
        assert_eq!(changes(&event), ["created", "created", "unchanged", "unchanged"]);
        assert_eq!((dropped(&event), acme.cases().len()), (vec![], 4));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_dropped_by_a_batch_whose_cases_cannot_all_be_recognized() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    with_mapping(&stage, json!({"dropped": "delete"})).await;
    stage.start_worker();
    stage.publish(&generation(1, 3, "update")).await;
    stage.delivered("acme/g-1").await;
    let mut second = without(2, 3, &[3]);
    second["cases"][1].as_object_mut().expect("a case").remove("external_id");
    stage.publish(&second).await;
    let event = stage.delivered("acme/g-2").await;
    assert_eq!((changes(&event), dropped(&event)), (vec!["unchanged".into(), "created".into()], vec![]));
    // Neither by one that is as old as another one.
    let mut third = without(3, 3, &[1, 2]);
    third["generated_at"] = second["generated_at"].clone();
    stage.publish(&third).await;
    assert_eq!(dropped(&stage.delivered("acme/g-3").await), Vec::<String>::new());
    assert_eq!(stage.account("acme").cases().len(), 4);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_answer_is_lost_is_read_again() {
    for (mapping, method, done) in [
        (json!({"dropped": "retire", "state_id": 4, "retired": {"state_id": DEPRECATED}}), Method::Patch, "retired"),
        (json!({"dropped": "delete"}), Method::Delete, "not_found"),
    ] {
        for at in [CutAt::BeforeCommit, CutAt::AfterCommit] {
            let mut stage = Stage::with_tenants(&["acme"]).await;
            with_mapping(&stage, mapping.clone()).await;
            stage.start_worker();
            stage.publish(&generation(1, 3, "update")).await;
            stage.delivered("acme/g-1").await;
            let acme = stage.account("acme");
            acme.set_faults([Rule::always(Fault::Cut { at }).on(method, PathKind::Cases).times(1)]);
            stage.publish(&without(2, 3, &[2, 3])).await;
            let event = stage.delivered("acme/g-2").await;
            let is_lost = matches!(at, CutAt::BeforeCommit);
            let expected = if is_lost && method == Method::Delete { "deleted" } else { done };
            let requests = if is_lost { 2 } else { 1 };
            assert_eq!(dropped(&event), [expected; 2], "{method:?} {at:?}");
            assert_eq!(count(&acme, method), requests);
            stage.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_testmo_refuses_to_retire_is_refused_alone() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    with_mapping(&stage, json!({"dropped": "retire", "state_id": 4, "retired": {"state_id": DEPRECATED}})).await;
    stage.start_worker();
    stage.publish(&generation(1, 3, "update")).await;
    let first = stage.delivered("acme/g-1").await;
    let acme = stage.account("acme");
    let second = row_of(&acme, &first, 2).id;
    acme.set_faults([Rule::always(Fault::status(422))
        .on(Method::Patch, PathKind::Cases)
        .with_body(&second.to_string())]);
    stage.publish(&without(2, 3, &[2, 3])).await;
    let event = stage.delivered("acme/g-2").await;
    assert_eq!(dropped(&event), ["refused", "retired"]);
    stage.end().await;
}
