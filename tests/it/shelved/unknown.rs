//! Sends batches of tenants that nobody has connected.

use std::time::Duration;

use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::{Reason, fingerprint};
use testmo_courier::clock::Clock;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::{ShelfIdentity, ShelfState, ShelvedUntil, Shelving};
use testmo_courier::store::{LedgerStore, Store, StoreHealth};

use crate::support::batches::{batch, key_of, names};
use crate::support::process::{command, run_reading};
use crate::support::stage::{LeftOver, Stage};

const HOUR: Duration = Duration::from_secs(3_600);
const DEFERRED: &str = "com.sqai-suite.testmo.batch.deferred.v1";
const FAILED: &str = "com.sqai-suite.testmo.batch.failed.v1";

/// Has a batch of a tenant without a connection wait since it arrived so long ago.
async fn shelve_ago(stage: &Stage, tenant: &str, ago: Duration) {
    let then = stage.store.now() - i64::try_from(ago.as_millis()).expect("a short time");
    let past = Store::open(&stage.config.store, false, Clock::standing_at(then)).await.expect("a store");
    let body = batch(tenant, "b-1", 2).to_string().into_bytes();
    let fingerprint = fingerprint(&decode(&body).expect("a batch"));
    let row = Shelving {
        identity: ShelfIdentity::Batch(format!("{tenant}/b-1").parse().expect("a batch"), fingerprint),
        reason: Reason::UnknownTenant,
        detail: None,
        until: ShelvedUntil::Connection,
        account: None,
        connection: None,
        parks: 0,
        failing_since: None,
        arrived_at: then,
        published_at: None,
        headers: Default::default(),
        body: body.into(),
    };
    past.commit(Commit { shelve: Some(row), ..Commit::default() }.into()).await.expect("a store");
    past.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_a_typing_error_is_told_with_the_one_that_is_meant() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("ACME", "b-1", 2)).await;
    let event = stage.event_of("ACME/b-1").await;
    assert_eq!((&event["type"], &event["data"]["reason"]), (&DEFERRED.into(), &"unknown_tenant".into()));
    assert_eq!((&event["data"]["detail"], &event["data"]["revision"]), (&"Did you mean `acme`?".into(), &1.into()));
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!(shelf[0].content.detail.as_deref(), Some("Did you mean `acme`?"));
    stage.publish(&batch("birch", "b-2", 2)).await;
    assert!(stage.event_of("birch/b-2").await["data"].get("detail").is_none());
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_an_unknown_tenant_is_reported_again_after_a_day_and_only_once() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    shelve_ago(&stage, "early", 23 * HOUR).await;
    shelve_ago(&stage, "late", 25 * HOUR).await;
    stage.start_worker();
    let [first, again] = [stage.event_of("late/b-1").await, stage.event_of("late/b-1").await];
    assert_eq!([&first["type"], &again["type"]], [DEFERRED; 2]);
    assert_ne!(first["id"], again["id"]);
    let shelf = stage.shelf_until(|shelf| shelf.iter().all(|row| row.due_at > stage.store.now())).await;
    assert!(shelf.iter().all(|row| row.state == ShelfState::Parked), "{shelf:?}");
    stage.publish(&batch("acme", "last", 1)).await;
    stage.delivered("acme/last").await;
    assert_eq!((stage.heard("late/b-1"), stage.heard("early/b-1")), (0, 0));
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_an_unknown_tenant_fails_after_two_weeks_and_is_sent_once_the_tenant_is_connected() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    shelve_ago(&stage, "nobody", 15 * 24 * HOUR).await;
    stage.start_worker();
    let failed = stage.event_of("nobody/b-1").await;
    assert_eq!((&failed["type"], &failed["data"]["revision"]), (&FAILED.into(), &1.into()));
    assert_eq!((&failed["data"]["reason"], &failed["data"]["outcome"]), (&"unknown_tenant".into(), &"failed".into()));
    let case = &failed["data"]["cases"][1];
    assert_eq!((&case["outcome"], &case["name"]), (&"not_sent".into(), &names("b-1", 2)[1].as_str().into()));
    let shelf = stage.shelf().await;
    assert_eq!((shelf.len(), shelf[0].state, shelf[0].content.reason), (1, ShelfState::Dead, Reason::UnknownTenant));
    stage.publish(&batch("nobody", "b-1", 2)).await;
    assert_eq!(stage.event_of("nobody/b-1").await, failed, "a copy changes nothing");

    let mut set = command(&stage);
    let origin = stage.testmo.origin("acme");
    set.args(["tenants", "set", "nobody", "--base-url", &origin, "--project", "1", "--folder", "1", "--api-key-stdin"]);
    let (code, said) = run_reading(set, &key_of("acme"));
    assert_eq!(code, Some(0), "{said}");
    let delivered = stage.delivered("nobody/b-1").await;
    assert_eq!(delivered["data"]["revision"], 2);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    stage.shelf_until(<[_]>::is_empty).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_was_given_up_is_found_by_the_worker_where_the_command_that_connects_its_tenant_was_cut_off() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    shelve_ago(&stage, "nobody", 15 * 24 * HOUR).await;
    stage.start_worker();
    assert_eq!(stage.event_of("nobody/b-1").await["type"], FAILED);
    stage.stop_worker().await;
    // The connection is stored, and nothing else.
    assert!(stage.connect("nobody", "acme", &key_of("acme")).await);
    assert_eq!(stage.shelf().await[0].state, ShelfState::Dead);
    stage.start_worker();
    assert_eq!(stage.delivered("nobody/b-1").await["data"]["revision"], 2);
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    stage.shelf_until(<[_]>::is_empty).await;
    stage.end().await;
}
