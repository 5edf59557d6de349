//! Checks updates whose answers are lost or late, or that Testmo refuses.

use serde_json::json;
use testmo_courier::batch::ledger::Target;
use testmo_courier::batch::written::CaseIdentity;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::{ConnectionStore, LedgerStore};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, CutAt, Fault, PathKind, Rule};

use super::{both, changes, count, generation, rename, row_of};
use crate::support::broker::Broker;
use crate::support::stage::{LeftOver, Stage};

fn on_update(fault: Fault) -> Rule {
    Rule::always(fault).on(Method::Patch, PathKind::Cases)
}

/// Delivers a first generation, and returns a second one that renames each of its cases.
async fn second_of(stage: &mut Stage, cases: usize) -> serde_json::Value {
    stage.start_worker();
    stage.publish(&generation(1, cases, "update")).await;
    stage.delivered("acme/g-1").await;
    let mut second = generation(2, cases, "update");
    (1..=cases).for_each(|case| rename(&mut second, case, &format!("new {case}")));
    second
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_whose_answer_is_lost_is_read_again_and_not_sent_twice() {
    for mut stage in both().await {
        let second = second_of(&mut stage, 3).await;
        let acme = stage.account("acme");
        acme.set_faults([on_update(Fault::Cut { at: CutAt::AfterCommit }).times(1)]);
        stage.publish(&second).await;
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["updated"; 3]);
        assert_eq!([1, 2, 3].map(|n| row_of(&acme, &event, n).name), ["new 1", "new 2", "new 3"]);
        assert_eq!(count(&acme, Method::Patch), 3, "the one whose answer was lost is known by its row");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_was_not_carried_out_is_sent_again() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let second = second_of(&mut stage, 2).await;
    let acme = stage.account("acme");
    acme.set_faults([on_update(Fault::Cut { at: CutAt::BeforeCommit }).times(1)]);
    stage.publish(&second).await;
    let event = stage.delivered("acme/g-2").await;
    assert_eq!(changes(&event), ["updated"; 2]);
    assert_eq!([1, 2].map(|n| row_of(&acme, &event, n).name), ["new 1", "new 2"]);
    assert_eq!(count(&acme, Method::Patch), 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_during_an_update_of_unknown_outcome_is_kept() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let second = second_of(&mut stage, 1).await;
    let acme = stage.account("acme");
    acme.set_faults([on_update(Fault::Cut { at: CutAt::BeforeCommit }).times(1)]);
    stage.publish(&second).await;
    acme.requests_matching(|request| request.method == Method::Patch, 1).await;
    let id = acme.cases()[0].id;
    acme.change_case(id, |row| row.name = "mine".into());
    let event = stage.delivered("acme/g-2").await;
    assert_eq!(changes(&event), ["kept"]);
    assert_eq!(row_of(&acme, &event, 1).name, "mine");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_has_begun_to_update_goes_on_with_it_although_the_mapping_creates_now() {
    for mut stage in both().await {
        let mapped = async |stage: &Stage, on_repeat| {
            let mapping = serde_json::from_value(json!({"on_repeat": on_repeat})).expect("a mapping");
            stage.connect_with("acme", &stage.testmo.origin("acme"), mapping).await;
        };
        mapped(&stage, "update").await;
        let mut second = second_of(&mut stage, 1).await;
        second.as_object_mut().expect("an object").remove("on_repeat");
        let acme = stage.account("acme");
        acme.set_faults([on_update(Fault::Cut { at: CutAt::BeforeCommit }).times(1)]);
        stage.publish(&second).await;
        acme.requests_matching(|request| request.method == Method::Patch, 1).await;
        mapped(&stage, "create").await;
        let event = stage.delivered("acme/g-2").await;
        assert_eq!(changes(&event), ["updated"], "{event}");
        assert_eq!((row_of(&acme, &event, 1).name.as_str(), acme.cases().len()), ("new 1", 1));
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_is_forgotten_while_it_may_be_updated_is_created() {
    for mut stage in both().await {
        let second = second_of(&mut stage, 2).await;
        let acme = stage.account("acme");
        acme.set_faults([on_update(Fault::Cut { at: CutAt::BeforeCommit }).times(1)]);
        stage.publish(&second).await;
        let sent = acme.requests_matching(|request| request.method == Method::Patch, 1).await;
        let [id] = sent[0].ids[..] else { panic!("{sent:?}") };
        // A worker in whose hands it stays knows the case.
        stage.stop_worker().await;
        let row =
            stage.store.connection(&"acme".parse().expect("a tenant")).await.expect("a store").expect("a connection");
        let target = Target { account: row.origin.clone(), project: row.project, folder: 0 };
        let at = acme.cases().iter().position(|case| case.id == id).expect("a case");
        let key = second["cases"][at]["external_id"].as_str();
        let identity = CaseIdentity::of(&target, &row.tenant, Some("SHOP-1"), key).expect("an identity");
        let change = Commit { forgotten: vec![(identity, id)], ..Commit::default() };
        assert!(stage.store.commit(change.into()).await.expect("a store").is_done());
        stage.start_worker();
        let event = stage.delivered("acme/g-2").await;
        let mut expected = vec!["updated"; 2];
        expected[at] = "created";
        assert_eq!(changes(&event), expected, "{event}");
        assert_eq!([1, 2].map(|n| row_of(&acme, &event, n).name), ["new 1", "new 2"]);
        assert_eq!(acme.cases().len(), 3);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testmo_whose_lists_come_slowly_is_written_to() {
    let patient = [("COURIER_TESTMO__REQUEST_TIMEOUT", "10s"), ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "10s")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &patient).await;
    let second = second_of(&mut stage, 2).await;
    let acme = stage.account("acme");
    let slow = Fault::Slow { ms: 2_500, commit: CommitTime::BeforeDelay };
    acme.set_faults([Rule::always(slow).on(Method::Get, PathKind::Cases)]);
    stage.publish(&second).await;
    let event = stage.delivered("acme/g-2").await;
    assert_eq!(changes(&event), ["updated"; 2]);
    assert_eq!(count(&acme, Method::Patch), 2);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_testmo_refuses_to_write_is_refused_for_its_case_alone() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let second = second_of(&mut stage, 3).await;
    let acme = stage.account("acme");
    acme.set_faults([on_update(Fault::status(422)).with_body("new 2")]);
    stage.publish(&second).await;
    let event = stage.event_of("acme/g-2").await;
    assert_eq!(changes(&event), ["updated", "refused", "updated"], "{event}");
    assert_eq!(event["data"]["cases"][1]["reason"], "case_refused");
    assert_eq!(event["type"].as_str().map(|kind| kind.contains("partially")), Some(true), "{event}");
    assert_eq!(row_of(&acme, &event, 1).name, "new 1");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_around_an_update_neither_loses_nor_repeats_it() {
    use std::os::unix::process::ExitStatusExt;

    use crate::support::process::Process;
    for (point, updates) in [("after_update_claim", 1), ("after_update", 1)] {
        for mut stage in both().await {
            let mut second = second_of(&mut stage, 2).await;
            stage.stop_worker().await;
            rename(&mut second, 2, "new 1");
            stage.environment.insert("COURIER_CRASH_AT".into(), format!("{point}:1"));
            let mut process = Process::start(&stage).await;
            stage.publish(&second).await;
            assert_eq!(process.exit().await.signal(), Some(6), "{}", process.output());
            stage.environment.remove("COURIER_CRASH_AT");
            let process = Process::start(&stage).await;
            let event = stage.delivered("acme/g-2").await;
            let acme = stage.account("acme");
            assert_eq!(changes(&event), ["updated"; 2], "{point}");
            assert_eq!(acme.case_names(), ["new 1"; 2]);
            let sent = count(&acme, Method::Patch);
            assert!(sent <= updates, "{point}: {sent}");
            process.stop().await;
            stage.end().await;
        }
    }
}
