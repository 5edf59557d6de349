//! Checks that one item that takes long, or whose claim came late, keeps no other waiting.

use std::time::Duration;

use sqlx::{Connection, Executor, SqliteConnection};
use testmo_courier::account::Signal;
use testmo_courier::batch::Reason;
use testmo_courier::store::accounts::AccountObservation;
use testmo_courier::store::connections::ConnectionRow;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::ShelfIdentity;
use testmo_courier::store::{AccountStore, ConnectionStore, LedgerStore};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault, PathKind, Rule};
use testmo_sim::world::RequestRecord;

use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::process::Process;
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

/// Settings by which a lease, and an answer that does not come, take longer than any test waits.
const LONG: [(&str, &str); 2] =
    [("COURIER_TESTMO__REQUEST_TIMEOUT", "120s"), ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "120s")];

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_check_hangs_does_not_keep_another_from_being_checked() {
    let mut stage = Stage::on(Broker::shared(), &["acme", "birch"], &LONG).await;
    stage.fail_long_ago(&["acme", "birch"]).await;
    let held = Rule::always(Fault::Held { commit: CommitTime::BeforeDelay }).on(Method::Get, PathKind::User);
    stage.account("acme").set_faults([held]);
    stage.start_worker();
    let verified = async |tenant: &str| {
        let tenant = tenant.parse().expect("a tenant");
        stage.store.connection(&tenant).await.expect("a store").expect("a connection").is_verified()
    };
    until(async || verified("birch").await).await;
    assert!(!verified("acme").await);
    stage.account("acme").clear_faults();
    until(async || verified("acme").await).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_checked_at_once_do_not_keep_each_other_from_the_store() {
    // Fewer than are checked at most at once, so that the worker goes on searching for others.
    const TENANTS: [&str; 3] = ["acme", "birch", "cedar"];
    let is_list = |request: &RequestRecord| request.path.contains("/folders");
    let stage = Stage::on(Broker::shared(), &TENANTS, &LONG).await;
    stage.fail_long_ago(&TENANTS).await;
    let before = TENANTS.map(|tenant| stage.account(tenant).requests().iter().filter(|one| is_list(one)).count());
    for tenant in TENANTS {
        let held = Rule::always(Fault::Held { commit: CommitTime::BeforeDelay }).on(Method::Get, PathKind::Folders);
        stage.account(tenant).set_faults([held]);
    }
    let process = Process::start(&stage).await;
    for (tenant, before) in TENANTS.into_iter().zip(before) {
        stage.account(tenant).requests_matching(is_list, before + 1).await;
    }
    // Another program writes to the file for a second, when each check wants to store what it has found.
    let mut other = SqliteConnection::connect(&stage.config.store.url).await.expect("the store");
    other.execute("BEGIN IMMEDIATE").await.expect("the lock");
    TENANTS.iter().for_each(|tenant| stage.account(tenant).clear_faults());
    tokio::time::sleep(Duration::from_secs(1)).await;
    other.execute("ROLLBACK").await.expect("the end of the lock");
    other.close().await.expect("a connection");
    until(async || stage.store.connections().await.expect("a store").iter().all(ConnectionRow::is_verified)).await;
    let output = process.output();
    process.stop().await;
    assert!(!output.contains("no free connection"), "{output}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_came_too_late_frees_its_permit_at_once() {
    let one = [LONG[0], LONG[1], ("COURIER_REQUESTS__ACCOUNT_CONCURRENCY", "1")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &one).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    let mut other = SqliteConnection::connect(&stage.config.store.url).await.expect("the store");
    other.execute("BEGIN IMMEDIATE").await.expect("the lock");
    stage.publish(&batch("acme", "b-2", 1)).await;
    // The claim waits for the lock for longer than it may before its request begins.
    tokio::time::sleep(stage.config.testmo.latest_start() + Duration::from_secs(2)).await;
    other.execute("ROLLBACK").await.expect("the end of the lock");
    other.close().await.expect("a connection");
    stage.delivered("acme/b-2").await;
    assert_eq!(stage.account("acme").cases().len(), 2);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_goes_on_soon_after_its_account_was_opened_by_somebody_else() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let account = stage.testmo.origin("acme");
    let observed = async |signal| {
        let observation = Some(AccountObservation { account: account.clone(), signal, ceiling: 4 });
        stage.store.commit(Commit { observation, ..Commit::default() }.into()).await.expect("a store");
    };
    for _ in 0..8 {
        observed(Signal::ProbeFailed).await;
    }
    assert!(stage.store.pauses(&[account.as_str().into()]).await.expect("a store")[0] > Some(Duration::from_secs(120)));
    let process = Process::start(&stage).await;
    let is_paused = || process.get("/lanes").is_some_and(|lanes| lanes.contains("backing_off\""));
    stage.publish(&batch("acme", "b-1", 1)).await;
    until(async || is_paused()).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    observed(Signal::Answered).await;
    until(async || !is_paused()).await;
    // What comes now does not wait for the end of the pause, as b-1 does.
    stage.publish(&batch("acme", "b-2", 1)).await;
    stage.delivered("acme/b-2").await;
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_an_unknown_tenant_are_shelved_in_their_order() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    let names: Vec<String> = (0..150).map(|n| format!("b-{n}")).collect();
    for name in &names {
        stage.publish(&batch("nobody", name, 1)).await;
    }
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.start_worker();
    stage.delivered("acme/b-1").await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == names.len()).await;
    let shelved = shelf.iter().filter_map(|row| match &row.content.identity {
        ShelfIdentity::Batch(key, _) => Some(key.batch.to_string()),
        ShelfIdentity::Raw(..) => None,
    });
    assert_eq!(shelved.collect::<Vec<_>>(), names);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_duplicate_check_that_hangs_keeps_no_other_from_being_made() {
    let quick = [
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "1s"),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "1s"),
        ("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "1h"),
    ];
    let mut stage = Stage::on(Broker::shared(), &["acme", "birch"], &quick).await;
    stage.start_worker();
    for tenant in ["acme", "birch"] {
        // Cases that are sent again after an unknown outcome are checked later.
        stage.account(tenant).set_faults([on_create(Fault::status(504)).times(1)]);
        stage.publish(&batch(tenant, "b-1", 1)).await;
        stage.delivered(&format!("{tenant}/b-1")).await;
    }
    stage.stop_worker().await;
    let held = Rule::always(Fault::Held { commit: CommitTime::BeforeDelay }).on(Method::Get, PathKind::Cases);
    stage.account("acme").set_faults([held]);
    let due = [LONG[0], LONG[1], ("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "1s")];
    stage.environment.extend(due.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let process = Process::start(&stage).await;
    let is_made = async |key: &str| stage.record(key).await.late_since.is_none();
    until(async || is_made("birch/b-1").await).await;
    assert!(!is_made("acme/b-1").await);
    stage.account("acme").clear_faults();
    until(async || is_made("acme/b-1").await).await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_of_a_request_are_sent_although_the_store_fails_over_another_one_of_it() {
    let one = [LONG[0], LONG[1], ("COURIER_REQUESTS__ACCOUNT_CONCURRENCY", "1")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &one).await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 1)).await;
    stage.delivered("acme/b-1").await;
    let mut store = SqliteConnection::connect(&stage.config.store.url).await.expect("the store");
    let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON shelf WHEN NEW.reason = 'batch_conflict' \
                  BEGIN SELECT RAISE(ABORT, 'not now'); END";
    store.execute(refuse).await.expect("a trigger");
    // The next batches wait for one request, so that they share the one after it.
    let acme = stage.account("acme");
    acme.set_faults([on_create(Fault::Held { commit: CommitTime::BeforeDelay })]);
    stage.publish(&batch("acme", "b-0", 1)).await;
    let is_create = |request: &RequestRecord| request.method == Method::Post;
    acme.requests_matching(is_create, 2).await;
    // The first one is in conflict with the batch that is known, which only the claim finds out.
    for (id, cases) in [("b-1", 2), ("b-2", 1), ("b-3", 1)] {
        stage.publish(&batch("acme", id, cases)).await;
    }
    until(async || process.metric("testmo_courier_batches_in_flight") == Some(4.0)).await;
    acme.clear_faults();
    for id in ["acme/b-0", "acme/b-2", "acme/b-3"] {
        stage.delivered(id).await;
    }
    assert_eq!(acme.requests().into_iter().filter(is_create).count(), 3);
    assert!(stage.shelf().await.is_empty());
    store.execute("DROP TRIGGER refuse").await.expect("no trigger");
    store.close().await.expect("a connection");
    stage.shelf_until(|shelf| shelf.iter().any(|row| row.content.reason == Reason::BatchConflict)).await;
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}
