//! Checks what a crash at each point leaves of a batch that has faulty cases: the others arrive once, and the event names
//! the faulty ones once.

use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_sim::faults::Fault;

use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::process::{Process, command, run_reading};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// SIGABRT, which ends a worker that crashes on order.
const ABORTED: i32 = 6;
/// The indexes of the faulty cases.
const FAULTY: [usize; 2] = [1, 3];

/// Returns a batch of which two cases are faulty, and the names of the others.
fn partly_faulty(id: &str, cases: usize) -> (Value, Vec<String>) {
    let mut faulty = batch("acme", id, cases);
    faulty["cases"][FAULTY[0]]["title"] = json!("x");
    faulty["cases"][FAULTY[1]]["name"] = json!(7);
    let good = (0..cases).filter(|index| !FAULTY.contains(index)).map(|index| format!("{id} case {}", index + 1));
    (faulty, good.collect())
}

/// Returns the positions of the cases that an event names as faulty.
fn named(event: &Value) -> Vec<u64> {
    let cases = event["data"]["cases"].as_array().expect("cases").iter();
    let invalid = cases.filter(|case| case["reason"] == Reason::CaseInvalid.code());
    invalid.map(|case| case["position"].as_u64().expect("a position")).collect()
}

/// Crashes a worker at the first passing of a point, and lets another worker continue.
async fn crash_at(point: &str, cases: usize, fault: Option<Fault>) {
    let settings = [("COURIER_RETRY__MAX_ATTEMPTS", "1"), ("COURIER_RETRY__SHELF_BACKOFF_MIN", "100ms")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").set_faults(fault.map(|fault| on_create(fault).times(1)));
    stage.environment.insert("COURIER_CRASH_AT".into(), format!("{point}:1"));
    let mut process = Process::start(&stage).await;
    let (faulty, good) = partly_faulty("b-1", cases);
    stage.publish(&faulty).await;
    assert_eq!(process.exit().await.signal(), Some(ABORTED), "{point}: {}", process.output());
    stage.environment.remove("COURIER_CRASH_AT");
    let process = Process::start(&stage).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial", "{point}: {event}");
    assert_eq!(named(&event), [2, 4], "{point}: {event}");
    until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
    stage.all_sent().await;
    assert_eq!(stage.account("acme").case_names(), good, "{point}");

    // Neither a copy nor a replay sends anything.
    stage.publish(&faulty).await;
    let copy = stage.event_of("acme/b-1").await;
    assert_eq!((&copy["id"], &copy["data"]), (&event["id"], &event["data"]), "{point}");
    let [row] = &stage.shelf().await[..] else { panic!("{point}: one row") };
    assert_eq!(row.content.reason, Reason::CaseInvalid, "{point}");
    let mut replay = command(&stage);
    replay.args(["replay", &row.id.to_string(), "--yes"]);
    let (code, said) = run_reading(replay, "");
    assert_eq!(code, Some(1), "{point}: {said}");
    process.stop().await;
    assert_eq!(stage.account("acme").case_names(), good, "{point}");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_before_the_outcome_each_good_case_arrives_once() {
    crash_at("after_claim", 6, None).await;
    crash_at("after_push", 6, None).await;
    crash_at("after_record", 150, None).await;
    crash_at("after_reconcile", 6, Some(Fault::status_after_commit(503))).await;
    crash_at("after_park", 6, Some(Fault::status(503))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_with_the_outcome_the_faulty_cases_are_named_once() {
    for point in ["after_settle", "after_ack", "after_publish"] {
        crash_at(point, 6, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_sends_what_testmo_refused_and_names_the_faulty_cases_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.tag_max_chars = 20);
    let process = Process::start(&stage).await;
    let (mut faulty, good) = partly_faulty("b-1", 6);
    faulty["cases"][4]["tags"] = json!(["x".repeat(30)]);
    stage.publish(&faulty).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!((&event["data"]["revision"], named(&event)), (&json!(1), vec![2, 4]), "{event}");
    assert_eq!(stage.account("acme").case_names().len(), good.len() - 1);
    until(async || process.metric("testmo_courier_cases_total{outcome=\"refused\"}") == Some(3.0)).await;

    stage.account("acme").change_settings(|settings| settings.tag_max_chars = 32);
    let row = stage.shelf().await.remove(0);
    let mut replay = command(&stage);
    replay.args(["replay", &row.id.to_string(), "--yes"]);
    let (code, said) = run_reading(replay, "");
    assert_eq!(code, Some(0), "{said}");
    let event = stage.event_of("acme/b-1").await;
    assert_eq!((&event["data"]["revision"], named(&event)), (&json!(2), vec![2, 4]), "{event}");
    let mut there = stage.account("acme").case_names();
    there.sort();
    assert_eq!(there, good);
    until(async || process.metric("testmo_courier_cases_total{outcome=\"created\"}") == Some(4.0)).await;
    assert_eq!(process.metric("testmo_courier_cases_total{outcome=\"refused\"}"), Some(3.0), "each is counted once");
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
