//! Checks the state that a crash at each point of a batch's path leaves: the table of `docs/architecture.md`.

use std::os::unix::process::ExitStatusExt;

use serde_json::Value;
use testmo_sim::Method;
use testmo_sim::faults::Fault;

use crate::support::batches::{batch, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::Stage;
use crate::support::waiting::until;

/// SIGABRT, which ends a worker that crashes on order.
const ABORTED: i32 = 6;

/// The state at the end.
struct Aftermath {
    /// The first event after the crash, and the outcomes of the cases in it.
    event: Value,
    outcomes: Vec<String>,
    /// The number of create requests.
    pushes: usize,
}

/// Crashes a worker at the first passing of a point, and lets another worker continue.
async fn crash_at(point: &str, cases: usize, faults: Vec<Fault>, settings: &[(&str, &str)]) -> (Stage, Aftermath) {
    let mut stage = Stage::on(Broker::shared(), &["acme"], settings).await;
    stage.account("acme").set_faults(faults.into_iter().map(|fault| on_create(fault).times(1)));
    stage.environment.insert("COURIER_CRASH_AT".into(), format!("{point}:1"));
    let mut process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", cases)).await;
    assert_eq!(process.exit().await.signal(), Some(ABORTED), "{}", process.output());
    stage.environment.remove("COURIER_CRASH_AT");
    let process = Process::start(&stage).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "delivered");
    until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
    stage.all_sent().await;
    process.stop().await;
    assert_eq!(stage.account("acme").case_names(), names("b-1", cases));
    assert!(stage.shelf().await.is_empty());
    let outcome = |case: &Value| case["outcome"].as_str().expect("an outcome").to_owned();
    let outcomes = event["data"]["cases"].as_array().expect("its cases").iter().map(outcome).collect();
    let pushes = stage.account("acme").requests().iter().filter(|r| r.method == Method::Post).count();
    (stage, Aftermath { event, outcomes, pushes })
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_claim_reconciliation_finds_no_cases_and_they_are_pushed() {
    let (stage, after) = crash_at("after_claim", 3, vec![], &[]).await;
    assert_eq!((after.pushes, after.outcomes), (1, vec!["created".to_owned(); 3]));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_push_the_cases_are_found_and_not_pushed_again() {
    let (stage, after) = crash_at("after_push", 3, vec![], &[]).await;
    assert_eq!((after.pushes, after.outcomes), (1, vec!["adopted".to_owned(); 3]));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_record_only_the_rest_is_pushed() {
    let (stage, after) = crash_at("after_record", 150, vec![], &[]).await;
    assert_eq!((after.pushes, after.outcomes), (2, vec!["created".to_owned(); 150]));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reconciliation_there_is_another_one() {
    let (stage, after) = crash_at("after_reconcile", 3, vec![Fault::status_after_commit(503)], &[]).await;
    assert_eq!((after.pushes, after.outcomes), (1, vec!["adopted".to_owned(); 3]));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_outcome_is_stored_nothing_is_pushed_and_the_event_is_sent() {
    let (stage, after) = crash_at("after_settle", 3, vec![], &[]).await;
    assert_eq!((after.pushes, after.outcomes), (1, vec!["created".to_owned(); 3]));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_parking_the_batch_is_retried_once() {
    let settings = [("COURIER_RETRY__MAX_ATTEMPTS", "1"), ("COURIER_RETRY__SHELF_BACKOFF_MIN", "100ms")];
    let (stage, after) = crash_at("after_park", 3, vec![Fault::status(503)], &settings).await;
    assert_eq!((after.pushes, after.outcomes), (2, vec!["created".to_owned(); 3]));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_acknowledgement_nothing_is_left_to_do() {
    let (stage, after) = crash_at("after_ack", 3, vec![], &[]).await;
    assert_eq!((after.pushes, after.outcomes), (1, vec!["created".to_owned(); 3]));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_event_is_published_the_same_event_is_sent_again() {
    let (mut stage, after) = crash_at("after_publish", 3, vec![], &[]).await;
    assert_eq!(stage.event_of("acme/b-1").await, after.event);
    stage.end().await;
}
