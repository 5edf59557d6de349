//! Carries out the runbooks of batches that failed permanently.

use serde_json::{Value, json};
use testmo_courier::batch::Reason;
use testmo_courier::store::shelf::{ShelfState, Shelved};
use testmo_sim::faults::Fault;

use super::desk::Desk;
use super::entry_of;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::generations::generation;
use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::stage::Stage;

/// The test that carries these runbooks out.
pub(super) const TEST: fn() = what_failed_permanently_is_delivered_or_discarded;

const ALERTS: [&str; 2] = ["CourierDeadLetters", "CourierRequestsRejected"];
/// Few enough requests that the circuit breaker stays closed.
const SETTINGS: [(&str, &str); 4] = [
    ("COURIER_RETRY__MAX_ATTEMPTS", "1"),
    ("COURIER_RETRY__SHELF_BACKOFF_MIN", "50ms"),
    ("COURIER_RETRY__GIVE_UP_AFTER", "1s"),
    ("COURIER_RETRY__GIVE_UP_MIN_RETRIES", "2"),
];

/// Returns a batch that replaces another one.
fn replacing(id: &str, replaces: &str) -> Value {
    let mut batch = batch("acme", id, 1);
    batch["replaces"] = json!(replaces);
    batch
}

/// Publishes batches that fail permanently, each for another reason.
async fn fail(desk: &mut Desk) {
    let stage = &mut desk.stage;
    stage.account("odd").set_faults([on_create(Fault::status(400))]);
    stage.account("failing").set_faults([on_create(Fault::status(503))]);
    stage.publish(&generation(1, 1, "wait")).await;
    stage.delivered("acme/g-1").await;
    let mut broken = batch("broken", "b-1", 1);
    broken.as_object_mut().expect("an object").shift_remove("cases");
    let failing = [
        generation(2, 1, "wait"),
        replacing("r-1", "later"),
        replacing("r-2", "mistyped"),
        replacing("r-3", "lost"),
        broken,
        batch("odd", "b-1", 1),
        batch("failing", "b-1", 1),
    ];
    for batch in &failing {
        stage.publish(batch).await;
    }
    let is_dead = |row: &Shelved| row.state == ShelfState::Dead;
    stage.shelf_until(|shelf| shelf.iter().filter(|row| is_dead(row)).count() == failing.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_permanently_is_delivered_or_discarded() {
    let stage = Stage::on(Broker::shared(), &["acme", "broken", "odd", "failing"], &SETTINGS).await;
    let mut desk = Desk::of(stage, Servers::shared()).await;
    desk.start().await;
    let before = desk.scrape();
    fail(&mut desk).await;
    until_firing(&desk, &ALERTS, &before).await;
    dead(&mut desk).await;
    rejected(&mut desk).await;
    desk.stage.shelf_until(<[_]>::is_empty).await;
    until_silent(&desk, &ALERTS).await;
    desk.end().await;
}

async fn dead(desk: &mut Desk) {
    let mut page = Page::of("CourierDeadLetters");
    page.follow(desk, "shelf groups", &[]).await;
    let said = page.follow(desk, "shelf show", &[("ENTRY", "acme/r-1")]).await;
    assert!(said.contains(Reason::ReplacedUnknown.remedy()), "{said}");

    // The batch that was missing arrives.
    desk.stage.publish(&batch("acme", "later", 1)).await;
    desk.stage.delivered("acme/later").await;
    page.follow(desk, "replay ENTRY", &[("ENTRY", "acme/r-1")]).await;
    page.follow(desk, "replaces=BATCH", &[("ENTRY", "acme/r-2"), ("BATCH", "later")]).await;
    page.follow(desk, "replaces=null", &[("ENTRY", "acme/r-3")]).await;
    page.follow(desk, "on_repeat=update", &[("ENTRY", "acme/g-2")]).await;
    desk.stage.account("failing").clear_faults();
    page.follow(desk, "--reason retries_exhausted", &[]).await;
    for subject in ["acme/r-1", "acme/r-2", "acme/r-3", "acme/g-2", "failing/b-1"] {
        until_delivered(desk, subject).await;
    }
    let broken = entry_of(&desk.stage, "broken").await;
    page.follow(desk, "shelf discard", &[("ENTRY", &broken), ("WHY", "'published again'")]).await;
    page.done();
}

async fn rejected(desk: &mut Desk) {
    let mut page = Page::of("CourierRequestsRejected");
    let said = page.follow(desk, "shelf list", &[]).await;
    assert!(said.contains("odd/b-1"), "{said}");
    let said = page.follow(desk, "shelf show", &[("ENTRY", "odd/b-1")]).await;
    assert!(said.contains("400"), "{said}");
    desk.stage.account("odd").clear_faults();
    page.follow(desk, "testmo-courier replay", &[]).await;
    until_delivered(desk, "odd/b-1").await;
    page.done();
}

/// Waits for the event that reports a batch as delivered, after events that reported its failure.
async fn until_delivered(desk: &mut Desk, subject: &str) {
    while desk.stage.event_of(subject).await["data"]["outcome"] != "delivered" {}
}
