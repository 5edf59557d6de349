//! Checks that a person sees what happened to a batch.

use serde_json::Value;
use testmo_sim::faults::Fault;

use crate::support::batches::{batch, on_create};
use crate::support::process::{command, run_reading};
use crate::support::stage::{LeftOver, Stage};

fn show(stage: &Stage, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command(stage);
    command.args(["batches", "show"]).args(arguments);
    run_reading(command, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_shown_with_its_cases_requests_outcome_and_events() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::status_after_commit(503)).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let event = stage.event_of("acme/b-1").await;
    stage.stop_worker().await;
    let (code, said) = show(&stage, &["acme/b-1"]);
    assert_eq!(code, Some(0), "{said}");
    let link = event["data"]["cases"][1]["link"].as_str().unwrap();
    for part in ["delivered", "TC-2  adopted", link, "503, adopted", "2 adopted", event["id"].as_str().unwrap()] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    let (code, said) = show(&stage, &["acme/b-1", "--json"]);
    let shown: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(code, Some(0));
    assert_eq!(shown["cases"][0]["testmo_id"], event["data"]["cases"][0]["testmo_id"]);
    assert_eq!((&shown["outcomes"][0]["revision"], &shown["outcomes"][0]["event"]), (&1.into(), &event["id"]));
    assert!(shown["events"][0]["published_at"].is_string(), "{said}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_waits_on_the_shelf_is_shown_and_an_unknown_one_is_a_finding() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("nobody", "b-1", 2)).await;
    stage.event_of("nobody/b-1").await;
    let (code, said) = show(&stage, &["nobody/b-1"]);
    assert_eq!(code, Some(0), "{said}");
    for part in ["no case was sent yet", "unknown_tenant", "batch.deferred.v1"] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
    let (code, said) = show(&stage, &["acme/none"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no batch acme/none is known") && said.contains("batches list"), "{said}");
    assert_eq!(show(&stage, &["acme"]).0, Some(2));
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
