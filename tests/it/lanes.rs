//! Checks that batches share requests, that tenants take turns, and that blocked batches leave the queue.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::store::accounts::{LaneOverride, LaneSelector};
use testmo_courier::store::{AccountStore, StoreHealth};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, RetryAfter};
use testmo_sim::world::RequestRecord;

use crate::support::batches::{batch, names, on_create, tenant_id};
use crate::support::broker::Broker;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

fn creates(stage: &Stage, tenant: &str) -> Vec<RequestRecord> {
    let requests = stage.account(tenant).requests();
    requests.into_iter().filter(|r| r.method == Method::Post && r.path.contains("/cases")).collect()
}

fn ids(event: &Value) -> Vec<u64> {
    let cases = event["data"]["cases"].as_array().expect("cases");
    cases.iter().map(|case| case["testmo_id"].as_u64().expect("an id")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_wait_share_requests_and_each_learns_its_own_ids_in_order() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    // The first request lasts long enough for the others to wait together.
    let slow = Fault::Slow { ms: 800, commit: CommitTime::BeforeDelay };
    stage.account("acme").set_faults([on_create(slow).times(1)]);
    for n in 0..30 {
        stage.publish(&batch("acme", &format!("b-{n}"), 5)).await;
    }
    stage.start_worker();
    for n in 0..30 {
        let event = stage.delivered(&format!("acme/b-{n}")).await;
        let ids = ids(&event);
        assert!(ids.is_sorted() && ids.len() == 5, "{ids:?}");
        let there = stage.account("acme").cases();
        let found: Vec<String> =
            ids.iter().map(|id| there.iter().find(|case| case.id == *id).unwrap().name.clone()).collect();
        assert_eq!(found, names(&format!("b-{n}"), 5));
    }
    assert_eq!(stage.account("acme").cases().len(), 150);
    assert!(creates(&stage, "acme").len() <= 8, "{} requests for 150 cases", creates(&stage, "acme").len());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_failed_together_are_tried_again_in_the_order_of_their_arrival() {
    let mut stage =
        Stage::on(Broker::shared(), &["acme"], &[("COURIER_REQUESTS__ACCOUNT_CONCURRENCY_PER_WORKER", "1")]).await;
    // The others wait together while the first request is in flight.
    let slow = Fault::Slow { ms: 1_500, commit: CommitTime::BeforeDelay };
    stage.account("acme").set_faults([on_create(slow).times(1), on_create(Fault::status(503)).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-0", 2)).await;
    stage.account("acme").until(|station| station.log.iter().any(|r| r.method == Method::Post)).await;
    for n in 1..6 {
        stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
    }
    for n in 0..6 {
        stage.delivered(&format!("acme/b-{n}")).await;
    }
    let failed = creates(&stage, "acme").into_iter().find(|request| request.status == Some(503)).unwrap().case_names;
    assert!(failed.len() > 2, "one batch alone has no order: {failed:?}");
    let mut there = stage.account("acme").case_names();
    there.retain(|name| failed.contains(name));
    assert_eq!(there, failed);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_case_harms_no_other_batch_of_its_request() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let slow = Fault::Slow { ms: 500, commit: CommitTime::BeforeDelay };
    stage.account("acme").set_faults([on_create(slow).times(1)]);
    stage.publish(&batch("acme", "b-0", 1)).await;
    let mut faulty = batch("acme", "b-1", 3);
    faulty["cases"][1]["fields"] = json!({"custom_unknown": 1});
    for batch in [batch("acme", "b-2", 3), faulty, batch("acme", "b-3", 3)] {
        stage.publish(&batch).await;
    }
    stage.start_worker();
    for id in ["b-2", "b-3"] {
        stage.delivered(&format!("acme/{id}")).await;
    }
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "partial");
    assert_eq!(event["data"]["cases"][1]["outcome"], "refused");
    assert_eq!(stage.account("acme").cases().len(), 1 + 3 + 2 + 3);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_messages_in_conflict_over_an_id_never_go_together_and_the_first_one_stays() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let slow = Fault::Slow { ms: 500, commit: CommitTime::BeforeDelay };
    stage.account("acme").set_faults([on_create(slow).times(1)]);
    // They wait together behind the request that is in flight.
    for batch in [batch("acme", "b-0", 1), batch("acme", "b-1", 2), batch("acme", "b-1", 3), batch("acme", "b-2", 2)] {
        stage.publish(&batch).await;
    }
    stage.start_worker();
    stage.delivered("acme/b-2").await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!(shelf[0].content.reason, Reason::BatchConflict);
    let cases: Vec<String> = stage.account("acme").cases().into_iter().map(|case| case.name).collect();
    let of_both = cases.iter().filter(|name| names("b-1", 3).contains(name)).count();
    assert!(of_both == 2 || of_both == 3, "one of the two, whole: {cases:?}");
    assert_eq!(cases.len(), 1 + of_both + 2);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_several_batches_with_an_unknown_outcome_is_reconciled_once_and_creates_nothing_twice() {
    for fault in [Fault::status(503), Fault::status_after_commit(503)] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        let slow = Fault::Slow { ms: 500, commit: CommitTime::BeforeDelay };
        stage.account("acme").set_faults([on_create(slow).times(1), on_create(fault).times(1)]);
        for n in 0..12 {
            stage.publish(&batch("acme", &format!("b-{n}"), 3)).await;
        }
        stage.start_worker();
        for n in 0..12 {
            stage.delivered(&format!("acme/b-{n}")).await;
        }
        assert_eq!(stage.account("acme").cases().len(), 36);
        let lists = stage.account("acme").requests();
        let lists = lists.iter().filter(|r| r.method == Method::Get && r.path.contains("/cases")).count();
        assert!((1..=2).contains(&lists), "{lists} lists for one unclear end");
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_floods_and_is_paused_leaves_the_window_to_others_and_is_resumed_in_order() {
    let prefetch = [("COURIER_AMQP__PREFETCH", "10"), ("COURIER_REQUESTS__MAX_CASES", "5")];
    let mut stage = Stage::on(Broker::shared(), &["flood", "quiet"], &prefetch).await;
    // One fault for each request that the worker sends at once.
    stage.account("flood").set_faults([on_create(Fault::throttled(Some(RetryAfter::Seconds(8)))).times(4)]);
    for n in 0..60 {
        stage.publish(&batch("flood", &format!("b-{n:02}"), 5)).await;
    }
    stage.publish(&batch("quiet", "q-1", 2)).await;
    stage.start_worker();
    stage.delivered("quiet/q-1").await;
    assert!(stage.account("flood").cases().is_empty(), "the quiet tenant did not wait for the gate");
    let shelf = stage.shelf_until(|shelf| shelf.len() >= 50).await;
    let waits = [Reason::Throttled, Reason::NoRoom];
    assert!(shelf.iter().all(|row| waits.contains(&row.content.reason)), "{shelf:?}");
    for n in 0..60 {
        stage.delivered(&format!("flood/b-{n:02}")).await;
    }
    let order: Vec<String> = stage.account("flood").cases().into_iter().map(|case| case.name[..4].to_owned()).collect();
    assert_eq!(order.len(), 300);
    // Batches that arrived at the same moment may change places, and several requests are sent at once at the end.
    assert!(order[..75].iter().all(|batch| batch.as_str() < "b-40"), "{order:?}");
    stage.shelf_until(<[_]>::is_empty).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_batch_that_arrives_during_a_long_pause_of_its_account_is_reported_once_as_deferred() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").set_faults([on_create(Fault::throttled(Some(RetryAfter::Seconds(3_600))))]);
    stage.start_worker();
    // The first batch learns of the pause, the next one finds it, and the others queue behind the rows on the shelf.
    for n in 0..4 {
        let name = format!("acme/b-{n}");
        stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
        let event = stage.event_of(&name).await;
        assert_eq!(event["type"], "com.sqai-suite.testmo.batch.deferred.v1", "{event}");
        assert!(["throttled", "no_room"].iter().any(|reason| event["data"]["reason"] == *reason), "{event}");
        let until: jiff::Timestamp = event["data"]["expected_until"].as_str().unwrap().parse().unwrap();
        assert!(until.as_millisecond() > stage.store.now() + 3_000_000, "{event}");
        stage.shelf_until(|shelf| shelf.len() == n + 1).await;
    }
    assert_eq!(stage.account("acme").requests().iter().filter(|r| r.method == Method::Post).count(), 1);
    for n in 0..4 {
        assert_eq!(stage.heard(&format!("acme/b-{n}")), 0, "it is told once");
    }
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_has_paused_waits_on_the_shelf_until_it_may_go_on() {
    let mut stage = Stage::with_tenants(&["acme", "other"]).await;
    let order = |lane: LaneSelector, paused| LaneOverride { lane, paused, most: None };
    let lanes = [LaneSelector::Tenant(tenant_id("acme")), LaneSelector::Account(stage.testmo.origin("acme"))];
    stage.start_worker();
    for (n, lane) in lanes.into_iter().enumerate() {
        stage.store.set_lane_override(&order(lane.clone(), true)).await.unwrap();
        let (paused, other) = (format!("b-{n}"), format!("o-{n}"));
        stage.publish(&batch("acme", &paused, 2)).await;
        stage.publish(&batch("other", &other, 2)).await;
        stage.delivered(&format!("other/{other}")).await;
        // It may queue for a moment behind the batch before it, until the store reports that this one has left the shelf.
        stage.shelf_until(|shelf| shelf.len() == 1 && shelf[0].content.reason == Reason::Paused).await;
        assert_eq!(stage.event_of(&format!("acme/{paused}")).await["data"]["reason"], "paused");
        stage.store.set_lane_override(&order(lane, false)).await.unwrap();
        stage.delivered(&format!("acme/{paused}")).await;
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_keeps_failing_is_paused_and_probed_until_it_recovers() {
    let soon = [("COURIER_RETRY__SHELF_BACKOFF_MIN", "200ms"), ("COURIER_RETRY__SHELF_BACKOFF_MAX", "1s")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &soon).await;
    stage.account("acme").set_faults([on_create(Fault::status(503)).times(30)]);
    stage.start_worker();
    for n in 0..6 {
        stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
    }
    let origin = stage.testmo.origin("acme");
    until(async || stage.store.throttle(&origin).await.unwrap().breaker_until.is_some()).await;
    let tried = creates(&stage, "acme").len();
    assert!(tried < 30, "{tried} requests before the breaker opened");
    stage.account("acme").clear_faults();
    for n in 0..6 {
        stage.delivered(&format!("acme/b-{n}")).await;
    }
    assert_eq!(stage.account("acme").cases().len(), 12);
    let probes = stage.account("acme").requests();
    assert!(probes.iter().any(|r| r.path.contains("/user")), "a request that changes nothing goes first");
    assert_eq!(stage.store.throttle(&origin).await.unwrap().breaker_until, None);
    stage.end().await;
}
