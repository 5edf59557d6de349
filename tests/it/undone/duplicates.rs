//! Checks that rows which Testmo created late are removed, and that the row of each case stays.

use serde_json::json;
use testmo_sim::faults::{CommitTime, Fault};

use super::{DEPRECATED, QUICK, changes, done, remembered, retires};
use crate::support::batches::on_create;
use crate::support::broker::Broker;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn duplicates_that_nobody_touched_are_retired_and_the_rows_of_the_cases_stay() {
    let check = ("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "3s");
    let mut stage = Stage::on(Broker::shared(), &["acme"], &[&QUICK[..], &[check]].concat()).await;
    retires(&stage, json!({"retired": {"state_id": DEPRECATED}})).await;
    let late = Fault::Slow { ms: 4_000, commit: CommitTime::AfterDelay };
    stage.account("acme").set_faults([on_create(late).times(1)]);
    stage.start_worker();
    stage.publish(&remembered("b-1", 2)).await;
    let delivered = stage.event_of("acme/b-1").await;
    stage.stop_worker().await;
    let acme = stage.account("acme");
    acme.until(|station| station.account.cases.iter().len() == 4).await;
    stage.start_worker();
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.case.duplicated.v1");

    let removed = done(&stage, "remove-duplicates", "acme/b-1", &[]);
    assert_eq!(changes(&removed), ["retired"; 2], "{removed}");
    for case in acme.cases() {
        let named = delivered["data"]["cases"].as_array().expect("cases").iter().any(|one| one["testmo_id"] == case.id);
        assert_eq!(case.state_id == DEPRECATED, !named, "{}", case.name);
    }
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], "com.sqai-suite.testmo.batch.undone.v1");
    assert_eq!((event["data"].get("outcome"), &event["data"]["cases"][0]["duplicate"]), (None, &json!(true)));
    stage.end().await;
}
