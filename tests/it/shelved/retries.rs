//! Makes Testmo pause, fail and be unreachable for a time.

use std::time::Duration;

use serde_json::json;
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::{Reason, fingerprint};
use testmo_courier::clock::Clock;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::{ShelfIdentity, ShelfState, Shelved, ShelvedUntil, Shelving};
use testmo_courier::store::{AccountStore, ConnectionStore, LedgerStore, Store, StoreHealth};
use testmo_sim::Method;
use testmo_sim::faults::{Fault, PathKind, RetryAfter, Rule};

use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_account_gets_no_request_of_any_tenant_during_its_pause() {
    let get = |fault: Fault, path| Rule::always(fault).on(Method::Get, path).times(1);
    let (seconds, date) = (Some(RetryAfter::Seconds(1)), Some(RetryAfter::DateIn(2)));
    for faults in [
        vec![on_create(Fault::throttled(seconds)).times(1)],
        vec![on_create(Fault::throttled(date)).times(1)],
        // Requests that list folders, and requests that reconcile an unknown outcome.
        vec![get(Fault::throttled(date), PathKind::Folders)],
        vec![on_create(Fault::status(503)).times(1), get(Fault::throttled(seconds), PathKind::Cases)],
    ] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        assert!(stage.connect("second", "acme", &key_of("acme")).await);
        stage.account("acme").set_faults(faults.clone());
        stage.start_worker();
        let mut first = batch("acme", "b-1", 5);
        first["folder_path"] = json!(["Checkout"]);
        stage.publish(&first).await;
        let origin = stage.testmo.origin("acme");
        until(async || stage.store.throttle(&origin).await.unwrap().rate_limited_until > 0).await;
        stage.publish(&batch("second", "b-2", 5)).await;
        stage.delivered("acme/b-1").await;
        stage.delivered("second/b-2").await;
        let requests = stage.account("acme").requests();
        let refused = requests.iter().find(|request| request.status == Some(429)).expect("a refusal");
        let refused = refused.answered_at.unwrap().0;
        let in_the_pause = requests.iter().filter(|r| (refused + 1..refused + 950).contains(&r.received_at.0)).count();
        assert_eq!(in_the_pause, 0, "{faults:?}: {requests:?}");
        assert_eq!(stage.account("acme").cases().len(), 10);
        stage.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_testmo_that_cannot_be_reached_is_tried_again_and_then_parked_for_a_time() {
    // Nothing listens on this address any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = format!("http://{gone}/gone");
    let settings =
        [("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", origin.as_str()), ("COURIER_RETRY__SHELF_BACKOFF_MIN", "6m")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.connect_as_proven("gone", &origin).await;
    stage.start_worker();
    stage.publish(&batch("gone", "b-1", 2)).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    stage.delivered("acme/b-2").await;
    let deferred = stage.event_of("gone/b-1").await;
    assert_eq!(deferred["type"], "com.sqai-suite.testmo.batch.deferred.v1");
    assert_eq!(deferred["data"]["reason"], "unreachable");
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::Unreachable));
    assert!(matches!(shelf[0].content.until, ShelvedUntil::After(_)), "{shelf:?}");
    assert!(shelf[0].content.parks == 1 && shelf[0].content.failing_since.is_some(), "an attempt is counted");
    let connection = stage.store.connection(&"gone".parse().unwrap()).await.unwrap().unwrap();
    assert!(connection.is_verified(), "it has worked before");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_testmo_refuses_is_retried_and_speaks_of_no_case() {
    let settings = [("COURIER_RETRY__MAX_ATTEMPTS", "1"), ("COURIER_RETRY__SHELF_BACKOFF_MIN", "6m")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").set_faults([Rule::always(Fault::status(422)).on(Method::Get, PathKind::Folders)]);
    stage.start_worker();
    let mut sorted = batch("acme", "b-1", 1);
    sorted["folder_path"] = json!(["Checkout"]);
    stage.publish(&sorted).await;
    let deferred = stage.event_of("acme/b-1").await;
    assert_eq!(deferred["data"]["reason"], "read_failed");
    assert!(deferred["data"]["detail"].as_str().unwrap().starts_with("Testmo answered 422"), "{deferred}");
    let lists = stage.account("acme").requests().iter().filter(|r| r.status == Some(422)).count();
    assert_eq!(lists, 2, "once in the order that suits reading, and once in Testmo's own");
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
pub(crate) async fn what_finds_no_room_for_long_waits_on_the_shelf_without_an_attempt() {
    let settings =
        [("COURIER_WORKER__MAX_QUEUE_TIME", "1s"), ("COURIER_REQUESTS__ACCOUNT_CONCURRENCY_PER_WORKER", "1")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").change_settings(|settings| settings.latency_ms = 700);
    let process = Process::start(&stage).await;
    for n in 0..6 {
        stage.publish(&batch("acme", &format!("b-{n}"), 150)).await;
    }
    for n in 0..6 {
        stage.delivered(&format!("acme/b-{n}")).await;
    }
    let no_room = process.metric("testmo_courier_batches_shelved_total{reason=\"no_room\"}").unwrap();
    assert!(no_room >= 1.0, "nothing waited for room");
    stage.shelf_until(<[_]>::is_empty).await;
    let mut there = stage.account("acme").case_names();
    there.sort();
    let mut wanted: Vec<String> = (0..6).flat_map(|n| names(&format!("b-{n}"), 150)).collect();
    wanted.sort();
    assert_eq!(there, wanted);
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_on_the_shelf_for_another_reason_is_no_time_of_failing() {
    const DAY: i64 = 86_400_000;
    for (reason, until, failing) in [
        // The batch waited three days for its connection, or for a worker.
        (Reason::KeyRefused, ShelvedUntil::Connection, 3 * DAY + 60_000),
        (Reason::ServerError, ShelvedUntil::After(Duration::ZERO), 3 * DAY + 60_000),
    ] {
        let mut stage = Stage::with_tenants(&["acme"]).await;
        stage.account("acme").set_faults([on_create(Fault::status(503))]);
        let now = stage.store.now();
        let before = Store::open(&stage.config.store, false, Clock::standing_at(now - 3 * DAY)).await.unwrap();
        let body = batch("acme", "b-1", 2).to_string().into_bytes();
        let fingerprint = fingerprint(&decode(&body).unwrap());
        let shelve = Shelving {
            identity: ShelfIdentity::Batch("acme/b-1".parse().unwrap(), fingerprint),
            reason,
            detail: None,
            until,
            account: None,
            connection: None,
            parks: 9,
            failing_since: Some(now - failing),
            arrived_at: 1,
            published_at: None,
            headers: Default::default(),
            body: body.into(),
        };
        before.commit(Commit { shelve: Some(shelve), ..Commit::default() }.into()).await.unwrap();
        before.close().await;
        stage.start_worker();
        let shelf = stage.shelf_until(|shelf| shelf[0].content.parks == 10).await;
        assert_eq!((shelf[0].state, shelf[0].content.reason), (ShelfState::Parked, Reason::ServerError));
        let failing = stage.store.now() - shelf[0].content.failing_since.unwrap();
        assert!((60_000..DAY).contains(&failing), "{failing} ms");
        stage.end_leaving(&[LeftOver::ShelfRows]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_server_keeps_failing_is_parked_and_given_up_after_the_horizon() {
    let settings = [
        // Few enough requests that the circuit breaker stays closed.
        ("COURIER_RETRY__MAX_ATTEMPTS", "1"),
        ("COURIER_RETRY__SHELF_BACKOFF_MIN", "50ms"),
        ("COURIER_RETRY__GIVE_UP_AFTER", "1s"),
        ("COURIER_RETRY__GIVE_UP_MIN_RETRIES", "2"),
    ];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").set_faults([on_create(Fault::status(503))]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!((&event["data"]["outcome"], &event["data"]["reason"]), (&json!("failed"), &json!("retries_exhausted")));
    assert_eq!(stage.shelf_until(|shelf| shelf[0].state == ShelfState::Dead).await.len(), 1);
    assert!(stage.account("acme").cases().is_empty());
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_a_failing_account_say_how_it_fails_and_count_as_failing_whatever_they_wait_for() {
    let settings = [
        ("COURIER_WORKER__MAX_QUEUE_TIME", "1s"),
        ("COURIER_RETRY__BACKOFF_MIN", "50ms"),
        ("COURIER_RETRY__BACKOFF_MAX", "100ms"),
        // Packed together they would not fail often enough for the circuit breaker.
        ("COURIER_REQUESTS__PACK_BATCHES", "false"),
    ];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.account("acme").set_faults([Rule::always(Fault::status(503))]);
    stage.start_worker();
    let origin = stage.testmo.origin("acme");
    for n in 0..20 {
        stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
    }
    until(async || stage.store.throttle(&origin).await.unwrap().breaks > 0).await;
    for n in 20..40 {
        stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
    }
    let of_testmo = |row: &Shelved| {
        let said = row.content.detail.as_deref().is_some_and(|detail| detail.contains("503"));
        row.content.reason == Reason::ServerError && said && row.content.failing_since.is_some()
    };
    // What waited for its turn before the circuit breaker opened says so until it is tried again.
    stage.shelf_until(|shelf| shelf.len() == 40 && shelf.iter().all(of_testmo)).await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
