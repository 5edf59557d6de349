//! Carries out the runbook of replays that stopped.

use serde_json::json;
use testmo_courier::store::replays::ReplayState;
use testmo_courier::store::shelf::ShelfState;

use super::desk::Desk;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::replay::{courier, says};
use crate::replays::{strict, until_is};
use crate::support::batches::batch;
use crate::support::stage::{LeftOver, Stage};

const BATCHES: usize = 4;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn stopped_replays_go_on_or_are_cancelled() {
    let mut stage = Stage::with_tenants(&["acme", "birch"]).await;
    stage.start_worker();
    for tenant in ["acme", "birch"] {
        strict(&stage, tenant, true);
        for n in 1..=BATCHES {
            let mut long = batch(tenant, &format!("b-{n}"), 1);
            long["cases"][0]["name"] = json!(format!("b-{n} has a name of more than twenty characters"));
            stage.publish(&long).await;
        }
    }
    stage.shelf_until(|shelf| shelf.iter().filter(|row| row.state == ShelfState::Dead).count() == 2 * BATCHES).await;
    for (tenant, id) in [("acme", 1), ("birch", 2)] {
        let replay = ["replay", "--tenant", tenant, "--unchanged", "--yes"];
        says(courier(&stage, &replay).await, 0, &["4 batches"]);
        until_is(&stage, id, ReplayState::Paused).await;
    }
    stage.stop_worker().await;
    let mut desk = Desk::of(stage, Servers::shared()).await;
    desk.start().await;
    let before = desk.scrape();
    until_firing(&desk, &["CourierReplayStopped"], &before).await;

    let mut page = Page::of("CourierReplayStopped");
    let said = page.follow(&mut desk, "replays list", &[]).await;
    assert_eq!(said.matches("one of the first batches").count(), 2, "{said}");
    let said = page.follow(&mut desk, "replays show", &[("REPLAY", "1")]).await;
    assert!(said.contains("all_refused"), "{said}");
    page.follow(&mut desk, "shelf groups", &[]).await;
    strict(&desk.stage, "acme", false);
    page.follow(&mut desk, "replays resume", &[("REPLAY", "1")]).await;
    page.follow(&mut desk, "replays cancel", &[("REPLAY", "2")]).await;
    page.done();
    until_is(&desk.stage, 1, ReplayState::Done).await;
    until_is(&desk.stage, 2, ReplayState::Cancelled).await;
    assert_eq!(
        desk.stage.account("acme").case_names().len(),
        BATCHES - 1,
        "the first one failed before the cause was fixed"
    );
    assert_eq!(desk.stage.shelf().await.len(), 1 + BATCHES, "what is left stays on the shelf");
    until_silent(&desk, &["CourierReplayStopped"]).await;
    desk.end_leaving(&[LeftOver::ShelfRows]).await;
}
