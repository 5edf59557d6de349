//! Checks that an answer with far more entries than it should have costs little and is not believed.

use serde_json::json;
use testmo_courier::batch::ledger::CaseState;
use testmo_sim::Method;
use testmo_sim::faults::{Fault, PathKind, Rule};

use crate::support::batches::{batch, names, on_create};
use crate::support::broker::Broker;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

#[tokio::test(flavor = "multi_thread")]
async fn of_thirty_thousand_refused_fields_some_are_stored_and_the_other_cases_arrive() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").change_settings(|settings| settings.tag_max_chars = 20);
    stage.account("acme").set_faults([on_create(Fault::Many { entries: 30_000 }).times(1)]);
    stage.start_worker();
    let mut bad = batch("acme", "b-1", 3);
    bad["cases"][1]["tags"] = json!(["x".repeat(30)]);
    stage.publish(&bad).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial", "{event}");
    assert_eq!(stage.account("acme").case_names(), ["b-1 case 1", "b-1 case 3"]);
    let record = stage.record("acme/b-1").await;
    let CaseState::Refused(refusal) = &record.cases[1].state else { panic!("{record:?}") };
    assert_eq!(refusal.said.len(), 50);
    assert!(refusal.said.iter().all(|said| said.field.starts_with("tags")), "{refusal:?}");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_with_thirty_thousand_cases_is_not_read_and_nothing_is_created_again() {
    let soon = [("COURIER_RETRY__SHELF_BACKOFF_MIN", "100ms"), ("COURIER_RETRY__SHELF_BACKOFF_MAX", "1s")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &soon).await;
    let list = Rule::always(Fault::Many { entries: 30_000 }).on(Method::Get, PathKind::Cases);
    stage.account("acme").set_faults([on_create(Fault::status_after_commit(500)).times(1), list]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 3)).await;
    let of_cases = |stage: &Stage, method| {
        let requests = stage.account("acme").requests();
        requests.iter().filter(|r| r.method == method && r.path.contains("/cases")).count()
    };
    until(async || of_cases(&stage, Method::Get) > 3).await;
    assert_eq!(of_cases(&stage, Method::Post), 1);
    stage.account("acme").clear_faults();
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["cases"][0]["outcome"], "adopted", "{event}");
    assert_eq!(stage.account("acme").case_names(), names("b-1", 3));
    stage.end().await;
}
