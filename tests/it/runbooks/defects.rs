//! Carries out the runbooks of a worker with a defect, and of a worker that is late.

use testmo_courier::batch::Reason;
use testmo_courier::clock::Clock;
use testmo_courier::store::shelf::Shelved;

use super::desk::Desk;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::support::batches::batch;
use crate::support::stage::Stage;

/// The test that carries these runbooks out.
pub(super) const TEST: fn() = what_a_defect_held_back_is_delivered_by_the_next_version;

const ALERTS: [&str; 5] = [
    "CourierPanics",
    "CourierErrorBudgetBurning",
    "CourierErrorBudgetShrinking",
    "CourierDeliveryBudgetBurning",
    "CourierDeliveryBudgetShrinking",
];
const ORDER: &str = "COURIER_PANIC_AT";
/// So many batches have to meet an error, or be late, before a budget counts.
const BATCHES: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_defect_held_back_is_delivered_by_the_next_version() {
    let mut stage = Stage::with_tenants(&["acme", "birch"]).await;
    stage.environment.insert(ORDER.into(), "unit:arrive:1000000:acme/bad".into());
    let mut desk = Desk::of(stage, Servers::shared()).await;
    desk.start().await;
    let before = desk.scrape();
    let two_minutes_ago = u64::try_from(Clock::system().now() / 1_000 - 120).expect("a time");
    for n in 1..=BATCHES {
        desk.stage.publish(&batch("acme", &format!("bad-{n}"), 1)).await;
        desk.stage.publish_at(&batch("birch", &format!("b-{n}"), 1), two_minutes_ago).await;
    }
    let is_given_up = |row: &Shelved| row.content.reason == Reason::CrashLoop;
    desk.stage.shelf_until(|shelf| shelf.iter().filter(|row| is_given_up(row)).count() == BATCHES).await;
    until_firing(&desk, &ALERTS, &before).await;
    late(&mut desk).await;
    errors(&mut desk).await;
    panics(&mut desk).await;
    for n in 1..=BATCHES {
        let subject = format!("acme/bad-{n}");
        while desk.stage.event_of(&subject).await["data"]["outcome"] != "delivered" {}
    }
    until_silent(&desk, &ALERTS).await;
    desk.end().await;
}

async fn late(desk: &mut Desk) {
    let batch = [("TENANT", "birch"), ("BATCH", "b-1")];
    let mut page = Page::of("CourierDeliveryBudgetShrinking");
    page.follow(desk, "batches show", &batch).await;
    page.done();
    let mut page = Page::of("CourierDeliveryBudgetBurning");
    page.follow(desk, "health", &[]).await;
    page.follow(desk, "batches show", &batch).await;
    page.follow(desk, "systemctl restart", &[]).await;
    page.done();
    desk.ready().await;
}

async fn errors(desk: &mut Desk) {
    let mut page = Page::of("CourierErrorBudgetShrinking");
    page.follow(desk, "journalctl", &[]).await;
    page.done();
    let mut page = Page::of("CourierErrorBudgetBurning");
    page.follow(desk, "journalctl", &[]).await;
    page.follow(desk, "shelf groups", &[]).await;
    let entry = desk.stage.shelf().await[0].id.to_string();
    let said = page.follow(desk, "shelf show", &[("ENTRY", &entry)]).await;
    assert!(said.contains(Reason::CrashLoop.cause()), "{said}");
    page.done();
}

async fn panics(desk: &mut Desk) {
    let mut page = Page::of("CourierPanics");
    let said = page.follow(desk, "journalctl", &[]).await;
    assert!(said.contains("a defect stopped a unit of work"), "{said}");
    let said = page.follow(desk, "--reason suspect", &[]).await;
    assert_eq!(said.matches("crash_loop").count(), BATCHES, "{said}");
    let entry = desk.stage.shelf().await[0].id.to_string();
    page.follow(desk, "shelf show", &[("ENTRY", &entry)]).await;
    // The person installs a version without the defect.
    desk.stage.environment.remove(ORDER);
    page.follow(desk, "systemctl restart", &[]).await;
    desk.ready().await;
    page.follow(desk, "testmo-courier replay", &[]).await;
    page.done();
}
