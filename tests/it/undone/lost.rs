//! Checks requests of an undo whose answers are lost, that Testmo refuses, or after which the command ends.

use serde_json::json;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, CutAt, Fault, PathKind, Rule};

use super::{DEPRECATED, both, case, changes, done, remembered, retires, run};
use crate::support::broker::Broker;
use crate::support::stage::Stage;

fn on_update(fault: Fault) -> Rule {
    Rule::always(fault).on(Method::Patch, PathKind::Cases)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_answer_is_lost_is_known_by_the_rows_and_not_sent_twice() {
    for mut stage in both().await {
        stage.start_worker();
        for (batch, at, requests) in [("b-1", CutAt::AfterCommit, 1), ("b-2", CutAt::BeforeCommit, 2)] {
            stage.publish(&remembered(batch, 3)).await;
            stage.delivered(&format!("acme/{batch}")).await;
            let acme = stage.account("acme");
            let count = || acme.requests().iter().filter(|request| request.method == Method::Patch).count();
            let before = count();
            acme.set_faults([on_update(Fault::Cut { at }).times(1)]);
            let undone = done(&stage, "undo", &format!("acme/{batch}"), &[]);
            assert_eq!(changes(&undone), ["retired"; 3]);
            assert_eq!(count() - before, requests, "{at:?}");
            assert_eq!(case(&stage, &format!("{batch} case 3")).state_id, DEPRECATED);
            stage.event_of(&format!("acme/{batch}")).await;
        }
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_was_interrupted_goes_on_with_the_same_command_and_with_no_other() {
    for mut stage in both().await {
        stage.start_worker();
        stage.publish(&remembered("b-1", 3)).await;
        stage.delivered("acme/b-1").await;
        let acme = stage.account("acme");
        acme.set_faults([on_update(Fault::status(403))]);
        let (code, said) = run(&stage, "undo", "acme/b-1", &[]);
        assert_eq!((code, &said["finished"]), (Some(1), &serde_json::json!(false)), "{said}");
        assert_eq!(changes(&said), ["waiting"; 3]);
        acme.clear_faults();
        let (code, said) = run(&stage, "restore", "acme/b-1", &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.as_str().is_some_and(|said| said.contains("`batches undo` was begun")), "{said}");
        let undone = done(&stage, "undo", "acme/b-1", &[]);
        assert_eq!(undone["goes_on"], true);
        assert_eq!(changes(&undone), ["retired"; 3]);
        stage.event_of("acme/b-1").await;
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testmo_whose_lists_come_slowly_is_written_to() {
    let patient = [("COURIER_TESTMO__REQUEST_TIMEOUT", "10s"), ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "10s")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &patient).await;
    retires(&stage, json!({"retired": {"state_id": DEPRECATED}})).await;
    stage.start_worker();
    stage.publish(&remembered("b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    let slow = Fault::Slow { ms: 2_500, commit: CommitTime::BeforeDelay };
    stage.account("acme").set_faults([Rule::always(slow).on(Method::Get, PathKind::Cases)]);
    let undone = done(&stage, "undo", "acme/b-1", &[]);
    assert_eq!(changes(&undone), ["retired"; 2]);
    stage.event_of("acme/b-1").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_testmo_refuses_is_left_alone() {
    let [mut stage, other] = both().await;
    other.end().await;
    stage.start_worker();
    stage.publish(&remembered("b-1", 3)).await;
    stage.delivered("acme/b-1").await;
    let id = case(&stage, "b-1 case 2").id;
    stage.account("acme").set_faults([on_update(Fault::status(422)).with_body(&id.to_string())]);
    let undone = done(&stage, "undo", "acme/b-1", &[]);
    assert_eq!(changes(&undone), ["retired", "left", "retired"], "{undone}");
    assert_eq!(undone["cases"][1]["left_because"], "refused");
    stage.event_of("acme/b-1").await;
    stage.end().await;
}
