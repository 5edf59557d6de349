//! Checks that a batch that is published twice is sent to Testmo once, and that its stored outcome is reported again.

use serde_json::Value;
use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::store::StoreHealth;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, Fault};

use crate::support::batches::{batch, key_of, names, on_create};
use crate::support::broker::Broker;
use crate::support::postgres::Postgres;
use crate::support::process::{command, run_reading};
use crate::support::stage::{LeftOver, Stage};
use crate::support::waiting::until;

async fn two_workers(settings: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::on_postgres(Postgres::shared(), &["acme"], settings).await;
    stage.start_worker();
    stage.start_worker();
    stage
}

async fn until_queue_is_empty(stage: &Stage) {
    until(async || Broker::shared().depth(&stage.vhost, "testmo.cases") == 0).await;
}

fn creations(stage: &Stage) -> usize {
    stage.account("acme").requests().iter().filter(|request| request.method == Method::Post).count()
}

/// Returns the next event that reports the outcome of a batch, skipping events that it waits.
async fn end_of(stage: &mut Stage, subject: &str) -> Value {
    loop {
        let event = stage.event_of(subject).await;
        if event["data"].get("outcome").is_some() {
            return event;
        }
    }
}

/// Returns the next event of a batch that is not in `heard`. Copies of events in `heard` may arrive at any time,
/// because another replica may be publishing an event when it becomes due again; they must be equal.
async fn news_of(stage: &mut Stage, subject: &str, heard: &[&Value]) -> Value {
    loop {
        let event = stage.event_of(subject).await;
        match heard.iter().find(|known| known["id"] == event["id"]) {
            Some(known) => assert_eq!(event, **known, "a copy differs"),
            None => return event,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_to_two_replicas_at_once_is_pushed_once_and_every_event_is_the_same() {
    let mut stage = two_workers(&[("COURIER_AMQP__PREFETCH", "1")]).await;
    stage.account("acme").set_faults([on_create(Fault::Slow { ms: 200, commit: CommitTime::AfterDelay })]);
    for _ in 0..4 {
        stage.publish(&batch("acme", "b-1", 3)).await;
    }
    let first = stage.event_of("acme/b-1").await;
    assert_eq!(first["data"]["outcome"], "delivered");
    until_queue_is_empty(&stage).await;
    stage.publish(&batch("acme", "b-1", 3)).await;
    assert_eq!(stage.event_of("acme/b-1").await, first, "it is announced again as it was");
    until_queue_is_empty(&stage).await;
    stage.publish(&batch("acme", "last", 1)).await;
    stage.event_of("acme/last").await;
    while stage.heard("acme/b-1") > 0 {
        assert_eq!(stage.event_of("acme/b-1").await, first);
    }
    assert_eq!(creations(&stage), 2, "one for each batch");
    assert_eq!(stage.record("acme/b-1").await.revision, 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_content_under_the_same_id_leaves_the_first_batch_untouched_under_way_and_delivered() {
    let mut stage = two_workers(&[]).await;
    let acme = stage.account("acme");
    acme.set_faults([on_create(Fault::Slow { ms: 500, commit: CommitTime::AfterDelay }).times(1)]);
    stage.publish(&batch("acme", "b-1", 3)).await;
    acme.until(|station| station.log.iter().any(|request| request.method == Method::Post)).await;
    let claimed = stage.record("acme/b-1").await;
    stage.publish(&batch("acme", "b-1", 2)).await;
    let first = stage.event_of("acme/b-1").await;
    let second = news_of(&mut stage, "acme/b-1", &[&first]).await;
    let mut events = [first, second];
    events.sort_by_key(|event| event["data"]["outcome"].as_str().map(str::to_owned));
    let [delivered, conflict] = events;
    assert_eq!(
        (&delivered["data"]["outcome"], &conflict["data"]["reason"]),
        (&"delivered".into(), &"batch_conflict".into())
    );
    assert_eq!(conflict["type"], "com.sqai-suite.testmo.message.invalid.v1", "nothing is said about the first batch");
    assert_eq!(
        (&conflict["data"]["outcome"], &conflict["data"]["message_hash_algorithm"]),
        (&"invalid".into(), &"sha-256-128".into())
    );
    let before = stage.record("acme/b-1").await;
    assert_eq!((before.state, before.revision), (BatchState::Delivered, 1));
    assert_eq!((&before.fingerprint, &before.targets), (&claimed.fingerprint, &claimed.targets));

    stage.publish(&batch("acme", "b-1", 4)).await;
    let another = news_of(&mut stage, "acme/b-1", &[&delivered, &conflict]).await;
    assert_eq!(another["data"]["reason"], "batch_conflict");
    assert_eq!(stage.record("acme/b-1").await, before);
    assert_eq!(acme.case_names(), names("b-1", 3));
    let shelf = stage.shelf().await;
    assert_eq!(shelf.iter().map(|row| row.content.reason).collect::<Vec<_>>(), [Reason::BatchConflict; 2]);
    stage.publish(&batch("acme", "b-1", 3)).await;
    let again = news_of(&mut stage, "acme/b-1", &[&conflict, &another]).await;
    assert_eq!(again, delivered, "the first one still has its outcome");
    assert_eq!(creations(&stage), 1);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_comes_again_while_it_waits_on_the_shelf_is_there_once_and_delivered_once() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.account("acme").revoke(1);
    stage.start_worker();
    for _ in 0..3 {
        stage.publish(&batch("acme", "b-1", 2)).await;
    }
    until_queue_is_empty(&stage).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!(shelf[0].content.reason, Reason::KeyRefused);
    stage.account("acme").give_key(1, &key_of("acme"));
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    assert_eq!(end_of(&mut stage, "acme/b-1").await["data"]["outcome"], "delivered");
    stage.shelf_until(<[_]>::is_empty).await;
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_of_a_discarded_batch_is_sent_again_by_either_replica_and_the_batch_is_never_pushed() {
    let mut stage = two_workers(&[]).await;
    stage.account("acme").revoke(1);
    stage.publish(&batch("acme", "b-1", 2)).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    discard(&stage, "acme/b-1");
    let discarded = end_of(&mut stage, "acme/b-1").await;
    assert_eq!(discarded["data"]["outcome"], "discarded");
    stage.account("acme").give_key(1, &key_of("acme"));
    assert!(stage.connect("acme", "acme", &key_of("acme")).await);
    let before = creations(&stage);
    for _ in 0..4 {
        stage.publish(&batch("acme", "b-1", 2)).await;
        assert_eq!(end_of(&mut stage, "acme/b-1").await, discarded);
    }
    assert_eq!(creations(&stage), before);
    assert!(stage.account("acme").cases().is_empty() && stage.shelf().await.is_empty());
    stage.end().await;
}

fn discard(stage: &Stage, subject: &str) {
    let mut command = command(stage);
    command.args(["shelf", "discard", subject, "--because", "withdrawn", "--yes"]);
    let (code, said) = run_reading(command, "");
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pruned_delivered_or_discarded_is_known_and_dropped() {
    let settings = [("COURIER_STORE__RETENTION", "1s")];
    let mut stage = Stage::on(Broker::shared(), &["acme"], &settings).await;
    stage.start_worker();
    stage.publish(&batch("acme", "delivered", 2)).await;
    stage.event_of("acme/delivered").await;
    stage.publish(&batch("nobody", "discarded", 2)).await;
    stage.shelf_until(|shelf| shelf.len() == 1).await;
    discard(&stage, "nobody/discarded");
    assert_eq!(end_of(&mut stage, "nobody/discarded").await["data"]["outcome"], "discarded");
    stage.stop_worker().await;
    let settled = stage.record("nobody/discarded").await.settled_at.unwrap();
    // Its event was stored after the batch was finished, but less than this time later.
    until(async || stage.store.now() > settled + 3_000).await;
    stage.start_worker();
    for subject in ["acme/delivered", "nobody/discarded"] {
        until(async || stage.record(subject).await.cases.is_empty()).await;
    }
    stage.connect("nobody", "acme", &key_of("acme")).await;
    stage.publish(&batch("acme", "delivered", 2)).await;
    stage.publish(&batch("nobody", "discarded", 2)).await;
    stage.publish(&batch("acme", "last", 1)).await;
    assert_eq!(stage.event_of("acme/last").await["data"]["outcome"], "delivered");
    until_queue_is_empty(&stage).await;
    stage.publish(&batch("acme", "very-last", 1)).await;
    stage.event_of("acme/very-last").await;
    assert_eq!(stage.heard("acme/delivered") + stage.heard("nobody/discarded"), 0, "their events are not kept");
    assert_eq!(stage.record("acme/delivered").await.state, BatchState::Delivered);
    assert_eq!(stage.record("nobody/discarded").await.state, BatchState::Discarded);
    let mut there = stage.account("acme").case_names();
    there.sort();
    assert_eq!(there, [names("delivered", 2), names("last", 1), names("very-last", 1)].concat());
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_copy_of_a_delivered_batch_is_reported_as_a_message_and_the_batch_stays_delivered() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    stage.publish(&batch("acme", "b-1", 2)).await;
    let delivered = stage.event_of("acme/b-1").await;
    let mut broken = batch("acme", "b-1", 2);
    broken["generated_at"] = Value::Null;
    stage.publish(&broken).await;
    let invalid = stage.event_of("acme/b-1").await;
    assert_eq!(invalid["type"], "com.sqai-suite.testmo.message.invalid.v1");
    assert_eq!(
        (&invalid["data"]["faults"][0]["pointer"], &invalid["data"]["reason"]),
        (&"/generated_at".into(), &"invalid_message".into())
    );
    assert_eq!(stage.record("acme/b-1").await.state, BatchState::Delivered);
    stage.publish(&batch("acme", "b-1", 2)).await;
    assert_eq!(stage.event_of("acme/b-1").await, delivered);
    stage.end_leaving(&[LeftOver::ShelfRows]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_delivered_takes_the_one_that_waits_off_the_shelf() {
    let mut stage = Stage::with_tenants(&["acme"]).await;
    stage.start_worker();
    let mut wanted = batch("acme", "b-1", 2);
    let projects = stage.account("acme").view().projects;
    let (project, parent) = (projects[0].id, projects[0].folders.iter().map(|folder| folder.id).min().unwrap());
    let next = stage.account("acme").create_folder(project, parent, "Another") + 1;
    wanted["folder_id"] = next.into();
    stage.publish(&wanted).await;
    let shelf = stage.shelf_until(|shelf| shelf.len() == 1).await;
    assert_eq!(shelf[0].content.reason, Reason::FolderMissing);
    assert_eq!(stage.account("acme").create_folder(project, parent, "Wanted"), next);
    stage.publish(&wanted).await;
    stage.delivered("acme/b-1").await;
    stage.shelf_until(<[_]>::is_empty).await;
    assert_eq!(stage.account("acme").case_names(), names("b-1", 2));
    stage.end().await;
}
