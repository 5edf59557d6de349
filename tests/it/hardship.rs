//! Checks that the worker reports faults of its environment, and loses nothing meanwhile.

use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_courier::clock::Clock;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::{ShelfIdentity, ShelfState, ShelvedUntil, Shelving};
use testmo_courier::store::{LedgerStore, Store, StoreHealth};

use crate::support::batches::{batch, key_of, names};
use crate::support::broker::Broker;
use crate::support::process::{Process, command};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

const NO_BATCH: &str = "not a batch, but large";

/// Returns a large batch of an unknown tenant, which takes room on the shelf.
fn large(id: &str) -> serde_json::Value {
    let mut large = batch("nobody", id, 1);
    large["cases"][0]["description"] = json!("x".repeat(100_000));
    large
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_full_says_so_and_goes_on_once_there_is_room() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    // A row that a person can discard later.
    let filling = Shelving {
        identity: ShelfIdentity::Raw("filling".into(), None, None),
        reason: Reason::NotJson,
        detail: Some(NO_BATCH.into()),
        until: ShelvedUntil::Person,
        account: None,
        connection: None,
        parks: 0,
        failing_since: None,
        arrived_at: 1,
        published_at: None,
        headers: Default::default(),
        body: vec![b'x'; 5_000_000].into(),
    };
    stage.store.commit(Commit { shelve: Some(filling), ..Commit::default() }.into()).await.unwrap();
    // The row may be in the database file, or still in the write-ahead log next to it.
    let file = std::fs::metadata(stage.path("courier.db")).unwrap().len();
    let limit = if file < 5_000_000 { file + 5_000_000 } else { file } + 300_000;
    stage.environment.insert("COURIER_STORE__MAX_FILE_BYTES".into(), limit.to_string());
    let process = Process::start(&stage).await;
    for n in 0..6 {
        stage.publish(&large(&format!("b-{n}"))).await;
    }
    until(async || process.get("/readyz").is_some_and(|ready| ready.contains("not ready: store"))).await;
    assert_eq!(process.metric("testmo_courier_store_up"), Some(0.0));
    let said = process.output();
    assert!(said.contains("the store is full") && said.contains("free space on its disk"), "{said}");
    let before = stage.shelf().await.len();
    assert!((1..7).contains(&before), "{before} of 7 are on the shelf");

    let filling = stage.shelf().await.into_iter().find(|row| row.content.detail.as_deref() == Some(NO_BATCH)).unwrap();
    let discarded = command(&stage)
        .args(["shelf", "discard", &filling.id.to_string(), "--because", "it only fills", "--no-undo", "--yes"])
        .output()
        .unwrap();
    assert!(discarded.status.success(), "{discarded:?}");
    stage.shelf_until(|shelf| shelf.len() == 6).await;
    stage.publish(&batch("acme", "b-9", 2)).await;
    stage.delivered("acme/b-9").await;
    assert_eq!(process.metric("testmo_courier_store_up"), Some(1.0));
    process.stop().await;
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_short_of_memory_is_named_and_what_waits_goes_out_afterwards() {
    let broker = Broker::start();
    let mut stage = Stage::on(&broker, &["acme"], &[("COURIER_AMQP__CONFIRM_TIMEOUT", "1s")]).await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.delivered("acme/b-1").await;
    stage.publish(&batch("late", "b-2", 2)).await;
    assert_eq!(stage.event_of("late/b-2").await["data"]["reason"], "unknown_tenant");
    broker.ctl(&["set_vm_memory_high_watermark", "0.00001"]);
    // The cases arrive and are stored; only the event must wait.
    assert!(stage.connect("late", "acme", &key_of("acme")).await);
    stage.settled("late/b-2").await;
    until(async || process.metric("testmo_courier_broker_up{connection=\"events\"}") == Some(0.0)).await;
    let ready = process.get("/readyz").unwrap();
    assert!(ready.contains("not ready: events"), "{ready}");
    let said = process.output();
    assert!(said.contains("memory"), "{said}");
    let file = stage.path("b-3.json");
    std::fs::write(&file, batch("acme", "b-3", 1).to_string()).unwrap();
    let output = command(&stage).arg("publish").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("memory"), "{told}");

    broker.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    stage.delivered("late/b-2").await;
    stage.publish_at_last(&batch("acme", "b-4", 2)).await;
    stage.delivered("acme/b-4").await;
    let mut there = stage.account("acme").case_names();
    there.retain(|name| !name.starts_with("b-3"));
    assert_eq!(there, [names("b-1", 2), names("b-2", 2), names("b-4", 2)].concat());
    stage.all_sent().await;
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_topology_is_reported_and_waiting_events_are_sent_once_it_is_fixed() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    // The queue of the worker is not declared, and the worker may not declare it.
    stage.environment.insert("COURIER_AMQP__CASES_QUEUE".into(), "testmo.other".into());
    stage.environment.insert("COURIER_AMQP__DECLARE_TOPOLOGY".into(), "false".into());
    stage.publish(&batch("acme", "b-1", 2)).await;
    let process = Process::launch(&stage);
    until(async || process.get("/readyz").is_some_and(|ready| ready.contains("not ready: intake"))).await;
    until(async || process.output().contains("no queue 'testmo.other'")).await;
    let said = process.output();
    assert!(
        said.contains("run `testmo-courier topology declare` with a user that has the configure permission"),
        "{said}"
    );
    let declared = command(&stage).args(["topology", "declare"]).output().unwrap();
    assert!(declared.status.success(), "{declared:?}");
    // Both queues are bound now, and the worker finds its own queue automatically.
    stage.publish(&batch("acme", "b-2", 2)).await;
    stage.delivered("acme/b-2").await;
    process.stop().await;
    // The batch that went to the right queue before is still there, for a worker that has the right name.
    stage.environment.remove("COURIER_AMQP__CASES_QUEUE");
    let process = Process::start(&stage).await;
    stage.delivered("acme/b-1").await;
    let mut there = stage.account("acme").case_names();
    there.sort();
    assert_eq!(there, [names("b-1", 2), names("b-2", 2)].concat());
    process.stop().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_behind_is_named_and_nothing_is_lost() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    // A worker with the right time has parked a batch; the clock of this machine is an hour behind.
    let later = stage.store.now() + 3_600_000;
    let ahead = Store::open(&stage.config.store, false, Clock::standing_at(later)).await.unwrap();
    let parked = Shelving {
        identity: ShelfIdentity::Batch("nobody/b-1".parse().unwrap(), "1:f".into()),
        reason: Reason::UnknownTenant,
        detail: None,
        until: ShelvedUntil::Connection,
        account: None,
        connection: None,
        parks: 0,
        failing_since: None,
        arrived_at: later,
        published_at: None,
        headers: Default::default(),
        body: batch("nobody", "b-1", 1).to_string().into_bytes().into(),
    };
    ahead.commit(Commit { shelve: Some(parked), ..Commit::default() }.into()).await.unwrap();
    ahead.close().await;
    let process = Process::start(&stage).await;
    stage.publish(&batch("acme", "b-2", 2)).await;
    stage.delivered("acme/b-2").await;
    let said = process.output();
    assert!(said.contains("clock is behind") && said.contains("correct the clock"), "{said}");
    assert_eq!(stage.shelf().await[0].state, ShelfState::Parked);
    assert!(stage.connect("nobody", "acme", &key_of("acme")).await);
    stage.delivered("nobody/b-1").await;
    process.stop().await;
    stage.end().await;
}
