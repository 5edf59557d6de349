//! Checks that cases which an earlier batch wrote for the same source key and external ids are noticed.

use std::time::Duration;

use serde_json::{Value, json};
use testmo_courier::batch::ledger::Target;
use testmo_courier::batch::written::{CaseIdentity, Since};
use testmo_courier::store::WrittenStore;
use testmo_courier::store::written::Remembered;

use crate::support::batches::{batch, tenant_id};
use crate::support::postgres::Postgres;
use crate::support::process::{Process, command};
use crate::support::stage::Stage;

/// Returns a batch whose cases were generated from a story.
fn generated(id: &str, cases: usize) -> Value {
    let mut batch = batch("acme", id, cases);
    batch["source"] = json!({"key": "SHOP-1"});
    batch
}

/// Returns what is remembered of the first `count` cases of the story, in their order.
async fn remembered(stage: &Stage, count: usize) -> Vec<Remembered> {
    let target = Target { account: stage.testmo.origin("acme"), project: 1, folder: 1 };
    let tenant = tenant_id("acme");
    let mut found = Vec::new();
    for n in 1..=count {
        let identity =
            CaseIdentity::of(&target, &tenant, Some("SHOP-1"), Some(&format!("TC-{n}"))).expect("an identity");
        found.extend(stage.store.written(&tenant, &[identity]).await.expect("a store"));
    }
    found
}

fn ids(event: &Value) -> Vec<u64> {
    event["data"]["cases"]
        .as_array()
        .expect("cases")
        .iter()
        .map(|case| case["testmo_id"].as_u64().expect("an id"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_of_an_earlier_batch_is_named_in_the_event_and_counted() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    stage.publish(&generated("b-1", 2)).await;
    let first = stage.delivered("acme/b-1").await;
    assert!(first["data"]["cases"].as_array().expect("cases").iter().all(|case| case.get("previous").is_none()));
    stage.publish(&generated("b-2", 3)).await;
    let second = stage.delivered("acme/b-2").await;
    let cases = second["data"]["cases"].as_array().expect("cases");
    for (case, before) in cases.iter().zip(first["data"]["cases"].as_array().expect("cases")) {
        let expected = json!({"batch_id": "b-1", "testmo_id": before["testmo_id"], "link": before["link"]});
        assert_eq!(case["previous"], expected);
    }
    assert_eq!(cases[2].get("previous"), None, "nobody wrote it before");
    assert_eq!(process.metric("testmo_courier_repeated_cases_total"), Some(2.0));
    // Without a source, a case is not recognized.
    stage.publish(&batch("acme", "b-3", 2)).await;
    let third = stage.delivered("acme/b-3").await;
    assert!(third["data"]["cases"].as_array().expect("cases").iter().all(|case| case.get("previous").is_none()));
    let known = remembered(&stage, 3).await;
    assert_eq!(
        known.iter().map(|known| known.case.testmo_id).collect::<Vec<_>>(),
        ids(&second),
        "the last write counts"
    );
    for known in &known {
        assert_eq!(known.batch.as_ref().map(ToString::to_string).as_deref(), Some("b-2"));
        let since = |column: &str, now: Value| known.case.fields.since(column, &now);
        assert_eq!(since("name", json!("another")), Some(Since::Touched));
        assert_eq!(since("custom_steps", json!([])), Some(Since::Touched), "the answer showed them");
    }
    assert_eq!(stage.store.forget_written(Duration::from_secs(86_400 * 730), 9).await.expect("a store"), 0);
    process.stop().await;
    stage.end().await;
}

/// Delivers a batch and checks a second generation of its cases for the tenant.
async fn lint_names_what_is_there(mut stage: Stage) {
    stage.start_worker();
    stage.publish(&generated("b-1", 2)).await;
    let first = stage.delivered("acme/b-1").await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("batch.json");
    let lint = |batch: &Value| {
        std::fs::write(&file, batch.to_string()).expect("a file");
        let end = command(&stage).args(["lint", "--tenant", "acme", "--json"]).arg(&file).output().expect("an end");
        let shown: Value = serde_json::from_slice(&end.stdout).unwrap_or_else(|_| panic!("{end:?}"));
        shown[0]["tenant"]["findings"].as_array().expect("findings").clone()
    };
    let found = lint(&generated("b-2", 3));
    assert_eq!(found.len(), 2, "{found:?}");
    for (index, found) in found.iter().enumerate() {
        let case = &first["data"]["cases"][index];
        let (id, link) = (&case["testmo_id"], case["link"].as_str().expect("a link"));
        assert_eq!((&found["rule"], &found["case"]), (&json!("already-written"), &json!(index + 1)));
        assert_eq!(found["what"], format!("was written by batch b-1 as case {id}: {link}"));
    }
    assert_eq!(lint(&generated("b-1", 2)), [Value::Null; 0], "a copy of a batch creates nothing");
    assert_eq!(lint(&batch("acme", "b-3", 2)), [Value::Null; 0], "without a source, a case is not recognized");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lint_names_the_cases_that_are_in_testmo_already() {
    lint_names_what_is_there(Stage::with_tenants(&["acme"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lint_names_the_cases_that_are_in_testmo_already_on_postgres() {
    lint_names_what_is_there(Stage::on_postgres(Postgres::shared(), &["acme"], &[]).await).await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crashed_worker_had_written_is_remembered_once_it_is_adopted() {
    use std::os::unix::process::ExitStatusExt;
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let process = Process::start(&stage).await;
    stage.publish(&generated("b-1", 2)).await;
    let first = stage.delivered("acme/b-1").await;
    process.stop().await;
    // Between the answer and its record.
    stage.environment.insert("COURIER_CRASH_AT".into(), "after_push:1".into());
    let mut process = Process::start(&stage).await;
    stage.publish(&generated("b-2", 2)).await;
    assert_eq!(process.exit().await.signal(), Some(6), "{}", process.output());
    assert_eq!(remembered(&stage, 2).await[0].case.testmo_id, ids(&first)[0]);
    stage.environment.remove("COURIER_CRASH_AT");
    let process = Process::start(&stage).await;
    let second = stage.delivered("acme/b-2").await;
    let cases = second["data"]["cases"].as_array().expect("cases");
    assert!(cases.iter().all(|case| case["outcome"] == "adopted"), "{second}");
    let previous: Vec<u64> = cases.iter().filter_map(|case| case["previous"]["testmo_id"].as_u64()).collect();
    assert_eq!(previous, ids(&first));
    assert_eq!(process.metric("testmo_courier_repeated_cases_total"), Some(2.0));
    let known = remembered(&stage, 2).await;
    assert_eq!(known.iter().map(|known| known.case.testmo_id).collect::<Vec<_>>(), ids(&second));
    let since = known[0].case.fields.since("name", &json!("another"));
    assert_eq!(since, Some(Since::Unknown), "no answer showed it");
    process.stop().await;
    stage.end().await;
}
