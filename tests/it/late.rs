//! Checks late requests of Testmo: within the settle time nothing is created twice; after it, duplicates are found and
//! reported once.

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use testmo_courier::batch::batch_tag;
use testmo_courier::batch::ledger::{BatchState, OpenPush};
use testmo_courier::clock::Clock;
use testmo_courier::store::ledger::{Claim, ClaimOutcome, Commit, PushEnded, RecordUpdate};
use testmo_courier::store::{ConnectionStore, LedgerStore, StoreHealth};
use testmo_courier::testmo::{Access, AddressPolicy, Client};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, PathKind, Rule};
use testmo_sim::world::RequestRecord;

use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::Process;
use crate::support::stage::Stage;
use crate::support::waiting::until;

const DUPLICATED: &str = "com.sqai-suite.testmo.case.duplicated.v1";

/// Times that are short enough for a test to wait for.
pub(crate) const QUICK: [(&str, &str); 4] = [
    ("COURIER_TESTMO__CONNECT_TIMEOUT", "300ms"),
    ("COURIER_TESTMO__REQUEST_TIMEOUT", "300ms"),
    ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "300ms"),
    ("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "3s"),
];

fn with(settings: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&QUICK[..], settings].concat()
}

/// Returns how many requests with a method the account received for its cases.
fn requests(stage: &Stage, method: Method) -> usize {
    let requests = stage.account("acme").requests();
    requests.iter().filter(|request| request.method == method && request.path.contains("/cases")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_carried_out_after_the_settle_time_is_reported_once_with_both_ids() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &QUICK).await;
    let late = Fault::Slow { ms: 4_000, commit: CommitTime::AfterDelay };
    stage.account("acme").set_faults([on_create(late).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 3)).await;
    let delivered = stage.event_of("acme/b-1").await;
    assert_eq!(delivered["data"]["outcome"], "delivered");
    // The worker is stopped when the request is carried out: the store has what the late-duplicate check needs.
    stage.stop_worker().await;
    stage.account("acme").until(|station| station.account.cases.iter().len() == 6).await;
    stage.start_worker();
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], DUPLICATED);
    let ids: BTreeSet<u64> = stage.account("acme").cases().iter().map(|case| case.id).collect();
    let mut told = BTreeSet::new();
    for (n, case) in event["data"]["cases"].as_array().unwrap().iter().enumerate() {
        let first = &delivered["data"]["cases"][n];
        assert_eq!(case["external_id"], first["external_id"]);
        assert_eq!((&case["testmo_id"], &case["link"]), (&first["testmo_id"], &first["link"]));
        let duplicate = case["duplicate_id"].as_u64().unwrap();
        assert!(case["duplicate_link"].as_str().unwrap().ends_with(&format!("case_id={duplicate}")), "{case}");
        told.extend([case["testmo_id"].as_u64().unwrap(), duplicate]);
    }
    assert_eq!(told, ids);
    assert!(event["data"]["remedy"].as_str().unwrap().contains("keep the one"));

    stage.publish(&batch("acme", "b-2", 1)).await;
    assert_eq!(stage.event_of("acme/b-2").await["data"]["outcome"], "delivered");
    stage.stop_worker().await;
    assert_eq!(stage.heard("acme/b-1"), 0, "it is told once");
    let due = stage.store.take_late_checks(Duration::ZERO, Duration::ZERO, 9).await.unwrap();
    assert!(due.is_empty(), "there is no second check");
    assert_eq!(stage.record("acme/b-1").await.late_since, None);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_cases_are_also_found_by_the_next_reconciliation() {
    let settings = with(&[
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "2s"),
        ("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "1h"),
        ("COURIER_REQUESTS__MAX_CASES", "1"),
    ]);
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    let acme = stage.account("acme");
    // The first request is sent again because reconciliation finds none of its cases; the third, for another case, gets
    // no answer.
    let silent = Fault::Slow { ms: 1_000, commit: CommitTime::BeforeDelay };
    acme.set_faults([on_create(Fault::status(504)).times(1), on_create(silent).from_nth(2).times(1)]);
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    let pushes = |station: &testmo_sim::world::Station| {
        station.log.iter().filter(|request| request.method == Method::Post).count()
    };
    acme.until(|station| pushes(station) == 3).await;
    create_late(&stage, "b-1 case 1").await;
    let event = stage.event_of("acme/b-1").await;
    assert_eq!(event["type"], DUPLICATED, "{event}");
    assert_eq!(event["data"]["cases"].as_array().unwrap().len(), 1);
    assert_eq!(event["data"]["cases"][0]["external_id"], "TC-1");
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    assert_eq!(process.metric("testmo_courier_duplicate_cases_total"), Some(1.0));
    assert_eq!(process.metric("testmo_courier_own_errors_total{cause=\"duplicate\"}"), Some(1.0));
    let twice = event["data"]["cases"][0]["duplicate_id"].as_u64().unwrap();
    assert_eq!(stage.record("acme/b-1").await.cases[0].duplicates, [twice]);
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_batch_that_another_worker_continued_prove_nothing_about_those_sent_with_it() {
    let mut stage = stage_of_a_reconciliation().await;
    let acme = stage.account("acme");
    let mut record = stage.record("acme/b-1").await;
    let from_epoch = record.epoch;
    record.reconciled(&[], false);
    let batch = Some(RecordUpdate { record, from_epoch });
    assert!(stage.store.commit(Commit { batch, ..Commit::default() }.into()).await.expect("a store").is_done());
    create_late(&stage, "b-1 case 1").await;
    acme.clear_faults();
    assert_eq!(stage.delivered("acme/b-1").await["data"]["cases"][0]["outcome"], "adopted");
    assert_eq!(stage.delivered("acme/b-2").await["data"]["cases"][0]["outcome"], "created");
    assert_eq!(acme.case_names().len(), 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_another_worker_recorded_meanwhile_prove_nothing_about_the_batches_sent_with_them() {
    let mut stage = stage_of_a_reconciliation().await;
    let acme = stage.account("acme");
    let mut record = stage.record("acme/b-1").await;
    let from_epoch = record.epoch;
    record.reconciled(&[], false);
    let connection = stage.store.connection(&record.key.tenant).await.expect("a store").expect("a connection").version;
    let (target, push) = (record.target().expect("a target").clone(), "of another worker".to_owned());
    let tag = Some(batch_tag(&record.key));
    let open = OpenPush { id: push.clone(), connection: connection.clone(), batch_tag: tag, committed: false };
    record.claim(&[0], open, &target);
    let claim = Claim {
        push: push.clone(),
        tenant: record.key.tenant.clone(),
        connection,
        account: target.account.clone(),
        ceiling: 9,
        holder: "another worker".into(),
        lease: Duration::from_secs(60),
        batches: vec![RecordUpdate { record: record.clone(), from_epoch }],
    };
    assert!(matches!(stage.store.claim(claim).await.expect("a store"), ClaimOutcome::Granted { .. }));
    let id = create_late(&stage, "b-1 case 1").await;
    let from_epoch = record.epoch;
    record.created(&[(0, id)]);
    record.settle(BatchState::Delivered, stage.store.now());
    let ended = Some(PushEnded { push, answer: "2xx".into(), detail: None, ids: Some((id, id)) });
    let batch = Some(RecordUpdate { record, from_epoch });
    let change = Commit { batch, ended, ..Commit::default() };
    assert!(stage.store.commit(change.into()).await.expect("a store").is_done());
    acme.clear_faults();
    assert_eq!(stage.delivered("acme/b-2").await["data"]["cases"][0]["outcome"], "created");
    assert_eq!(acme.case_names().len(), 3);
    stage.end().await;
}

/// A stage on which a worker reads the list of cases, to find out what became of a request with the cases of
/// `acme/b-1` and `acme/b-2` that created nothing. It gets the list once the faults are cleared.
async fn stage_of_a_reconciliation() -> Stage {
    let settings = [
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "20s"),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "20s"),
        ("COURIER_REQUESTS__ACCOUNT_CONCURRENCY_PER_WORKER", "1"),
    ];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    let acme = stage.account("acme");
    // While the first request is under way, the two batches come together in the next one.
    let slow = Fault::Slow { ms: 800, commit: CommitTime::AfterDelay };
    let held = Rule::always(Fault::Held { commit: CommitTime::AfterDelay }).on(Method::Get, PathKind::Cases);
    acme.set_faults([on_create(slow).times(1), on_create(Fault::status(503)).times(1), held]);
    for id in ["b-0", "b-1", "b-2"] {
        stage.publish(&batch("acme", id, 1)).await;
    }
    stage.start_worker();
    let lists = |request: &RequestRecord| request.method == Method::Get && request.path.contains("/cases");
    acme.until(|station| station.log.iter().any(lists)).await;
    let push = async |key| stage.record(key).await.open_push.map(|push| push.id);
    assert_eq!(push("acme/b-1").await, push("acme/b-2").await, "they went together");
    stage
}

/// Creates a case of `acme/b-1` as a request would that is carried out late, and returns its id.
async fn create_late(stage: &Stage, name: &str) -> u64 {
    let config = &stage.config.testmo;
    let origin = AddressPolicy::new(config).check(&stage.testmo.origin("acme")).expect("a listed origin");
    let client = Client::new(config, Clock::system()).expect("a client");
    let tag = batch_tag(&"acme/b-1".parse().expect("a batch"));
    let body = json!({"cases": [{"folder_id": 1, "name": name, "tags": [tag]}]}).to_string();
    let access = Access { origin, key: SecretString::from(key_of("acme")) };
    client.create_cases(&access, 1, body, vec![false]).await.end.expect("a case");
    stage.account("acme").cases().iter().map(|case| case.id).max().expect("a case")
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_late_answers_within_the_settle_time_create_nothing_twice() {
    // All requests are sent at once: afterwards, the circuit breaker lets one through at a time.
    let settings = with(&[
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "1s"),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "3s"),
        ("COURIER_REQUESTS__ACCOUNT_CONCURRENCY_PER_WORKER", "50"),
        ("COURIER_REQUESTS__ACCOUNT_CONCURRENCY", "50"),
        ("COURIER_REQUESTS__PACK_BATCHES", "false"),
        ("COURIER_RETRY__SHELF_BACKOFF_MIN", "100ms"),
    ]);
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    let late = Fault::Slow { ms: 1_500, commit: CommitTime::AfterDelay };
    stage.account("acme").set_faults([on_create(late).times(50)]);
    stage.start_worker();
    for n in 0..50 {
        stage.publish(&batch("acme", &format!("b-{n}"), 2)).await;
    }
    for n in 0..50 {
        let event = stage.event_of(&format!("acme/b-{n}")).await;
        let outcomes = [0, 1].map(|case| event["data"]["cases"][case]["outcome"].clone());
        let wanted = [0, 1].map(|_| json!("adopted"));
        assert_eq!((&event["data"]["outcome"], outcomes), (&json!("delivered"), wanted), "{event}");
    }
    stage.stop_worker().await;
    let mut there = stage.account("acme").case_names();
    let mut wanted: Vec<String> = (0..50).flat_map(|n| names(&format!("b-{n}"), 2)).collect();
    there.sort();
    wanted.sort();
    assert_eq!(there, wanted);
    assert_eq!(requests(&stage, Method::Post), 50, "each was sent once");
    for n in 0..50 {
        assert_eq!(stage.record(&format!("acme/b-{n}")).await.late_since, None, "there is nothing left to look for");
        assert_eq!(stage.heard(&format!("acme/b-{n}")), 0);
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_replicas_checks_for_late_duplicates_and_reports_nothing_if_there_are_none() {
    let settings = with(&[("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "500ms")]);
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme"], &settings).await;
    stage.account("acme").set_faults([on_create(Fault::status(504)).times(1)]);
    stage.start_worker();
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 3)).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    until(async || stage.record("acme/b-1").await.late_since.is_none()).await;
    stage.stop_worker().await;
    assert_eq!(requests(&stage, Method::Get), 2, "one list before it was sent again, one after it had arrived");
    assert_eq!(stage.heard("acme/b-1"), 0);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 3));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_duplicate_check_that_fails_is_repeated() {
    let settings = with(&[("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "500ms")]);
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    let acme = stage.account("acme");
    let on_list = Rule::always(Fault::status(503)).on(Method::Get, PathKind::Cases);
    acme.set_faults([on_create(Fault::status(504)).times(1), on_list.from_nth(2).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    assert_eq!(stage.event_of("acme/b-1").await["data"]["outcome"], "delivered");
    until(async || stage.record("acme/b-1").await.late_since.is_none()).await;
    assert_eq!(requests(&stage, Method::Get), 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mark_a_case_that_a_person_made_is_no_duplicate() {
    let mut stage = Stage::on(Broker::shared(), &["acme"], &QUICK).await;
    let mut row = stage.store.connection(&"acme".parse().unwrap()).await.unwrap().unwrap();
    row.resolved.as_mut().unwrap().batch_tag = false;
    stage.store.set_connection(&row).await.unwrap();
    stage.account("acme").set_faults([on_create(Fault::status(504)).times(1)]);
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    let event: Value = stage.event_of("acme/b-1").await;
    assert_eq!(event["data"]["outcome"], "delivered");
    assert!(stage.account("acme").cases()[0].tags.is_empty());
    assert_eq!(stage.record("acme/b-1").await.late_since, None, "there is no check for what cannot be told apart");
    stage.end().await;
}
