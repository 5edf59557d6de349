//! Carries out the runbooks of a worker that does not run, or that runs with settings for tests.

use super::desk::Desk;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::support::batches::batch;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_worker_that_ended_is_started() {
    let mut desk = Desk::of(Stage::with_tenants(&["acme"]).await, Servers::shared()).await;
    desk.start().await;
    let before = desk.scrape();
    desk.kill();
    until_firing(&desk, &["CourierAbsent"], &before).await;
    desk.stage.publish(&batch("acme", "b-1", 1)).await;

    let mut page = Page::of("CourierAbsent");
    page.finds(&mut desk, "is-active", &[], 3).await;
    page.follow(&mut desk, "journalctl", &[]).await;
    let said = page.finds(&mut desk, "health", &[], 3).await;
    assert!(said.contains("cannot be read"), "{said}");
    page.follow(&mut desk, "config check", &[]).await;
    page.follow(&mut desk, "systemctl start", &[]).await;
    page.follow(&mut desk, "--reason suspect", &[]).await;
    page.done();
    desk.stage.delivered("acme/b-1").await;
    until_silent(&desk, &["CourierAbsent"]).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn origins_without_tls_are_removed() {
    let mut desk = Desk::of(Stage::with_tenants(&["acme"]).await, Servers::shared()).await;
    desk.start().await;
    let before = desk.scrape();
    until_firing(&desk, &["CourierInsecureOrigins"], &before).await;

    let mut page = Page::of("CourierInsecureOrigins");
    let origin = desk.stage.testmo.origin("acme");
    let said = page.follow(&mut desk, "config show", &[]).await;
    assert!(said.contains(&origin), "{said}");
    let said = page.follow(&mut desk, "tenants list", &[]).await;
    assert!(said.contains("acme"), "{said}");
    // The person removes the setting.
    desk.stage.environment.remove("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS");
    page.follow(&mut desk, "systemctl restart", &[]).await;
    page.done();
    desk.ready().await;
    until_silent(&desk, &["CourierInsecureOrigins"]).await;
    desk.end().await;
}
