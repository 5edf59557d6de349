//! Carries out the runbooks of batches that wait for a person, or for a Testmo that fails.

use serde_json::json;
use testmo_courier::batch::Reason;
use testmo_courier::store::StoreHealth;
use testmo_sim::faults::Fault;

use super::desk::Desk;
use super::entry_of;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::replay::{courier, says};
use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::stage::Stage;
use crate::unreadable::run;

/// The test that carries these runbooks out.
pub(super) const TEST: fn() = what_has_waited_for_long_is_delivered_or_discarded;

const ALERTS: [&str; 2] = ["CourierShelfNeedsPerson", "CourierTestmoFailing"];
const TENANTS: [&str; 6] = ["wanted", "unwanted", "paused", "foldered", "failing", "exhausted"];
/// A worker that does not retry while the test runs.
const SETTINGS: [(&str, &str); 2] = [("COURIER_RETRY__MAX_ATTEMPTS", "1"), ("COURIER_RETRY__SHELF_BACKOFF_MIN", "6m")];
const TWO_DAYS_MS: i64 = 2 * 24 * 3_600_000;

/// Returns a stage whose batches have waited for two days, and the id of the folder that one of them needs.
async fn faulty() -> (Stage, u64) {
    let mut stage = Stage::on(Broker::shared(), &TENANTS, &SETTINGS).await;
    let folder = stage.account("foldered").create_folder(1, 1, "first") + 1;
    stage.account("failing").set_faults([on_create(Fault::status(503))]);
    says(courier(&stage, &["lanes", "pause", "paused"]).await, 0, &[]);
    stage.start_worker();
    stage.publish(&batch("paused", "b-1", 1)).await;
    stage.publish(&batch("failing", "b-1", 1)).await;
    let mut foldered = batch("foldered", "b-1", 1);
    foldered["folder_id"] = json!(folder);
    stage.publish(&foldered).await;
    stage.shelf_until(|shelf| shelf.len() == 3 && shelf.iter().all(|row| !row.leased)).await;
    stage.stop_worker().await;
    let arrived_at = stage.store.now() - TWO_DAYS_MS;
    stage.shelve_for_person_since(&batch("wanted", "b-1", 1), Reason::Rejected, arrived_at).await;
    stage.shelve_for_person_since(&batch("unwanted", "b-1", 1), Reason::CaseTooLarge, arrived_at).await;
    stage.shelve_for_person_since(&batch("exhausted", "b-1", 1), Reason::RetriesExhausted, arrived_at).await;
    run(&stage, &format!("UPDATE shelf SET arrived_at = {arrived_at}")).await;
    run(&stage, &format!("UPDATE shelf SET failing_since = {arrived_at} WHERE tenant_id = 'failing'")).await;
    (stage, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_waited_for_long_is_delivered_or_discarded() {
    let (stage, folder) = faulty().await;
    let mut desk = Desk::of(stage, Servers::shared()).await;
    desk.start().await;
    let before = desk.scrape();
    until_firing(&desk, &ALERTS, &before).await;
    people(&mut desk, folder).await;
    failing(&mut desk).await;
    desk.stage.shelf_until(<[_]>::is_empty).await;
    assert!(desk.stage.account("unwanted").cases().is_empty());
    until_silent(&desk, &ALERTS).await;
    desk.end().await;
}

async fn people(desk: &mut Desk, folder: u64) {
    let mut page = Page::of("CourierShelfNeedsPerson");
    let said = page.follow(desk, "shelf list", &[("STATE", "parked"), ("REASON", "folder_missing")]).await;
    assert!(said.contains("foldered") && !said.contains("paused"), "{said}");
    let entry = entry_of(&desk.stage, "foldered").await;
    let said = page.follow(desk, "shelf show", &[("ENTRY", &entry)]).await;
    assert!(said.contains(&folder.to_string()), "{said}");
    page.follow(desk, "testmo-courier replay", &[("REASON", "rejected")]).await;
    desk.stage.delivered("wanted/b-1").await;
    page.follow(desk, "shelf discard", &[("REASON", "case_too_large"), ("WHY", "'withdrawn'")]).await;
    let said = page.follow(desk, "lanes overrides", &[]).await;
    assert!(said.contains("paused"), "{said}");
    page.follow(desk, "lanes resume", &[("TENANT", "paused")]).await;
    desk.stage.delivered("paused/b-1").await;
    assert_eq!(desk.stage.account("foldered").create_folder(1, 1, "second"), folder);
    page.follow(desk, "tenants verify", &[("TENANT", "foldered")]).await;
    desk.stage.delivered("foldered/b-1").await;
    page.done();
}

async fn failing(desk: &mut Desk) {
    let mut page = Page::of("CourierTestmoFailing");
    page.follow(desk, "shelf list", &[("TENANT", "failing")]).await;
    page.follow(desk, "tenants verify", &[("TENANT", "failing")]).await;
    desk.stage.account("failing").clear_faults();
    page.follow(desk, "lanes resume", &[("TENANT", "failing")]).await;
    desk.stage.delivered("failing/b-1").await;
    page.follow(desk, "testmo-courier replay", &[]).await;
    desk.stage.delivered("exhausted/b-1").await;
    page.done();
}
