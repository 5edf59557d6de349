//! Carries out the runbook of test cases that are in Testmo twice.

use testmo_sim::faults::{CommitTime, Fault};

use super::desk::Desk;
use super::page::Page;
use super::rules::until_firing;
use super::servers::Servers;
use crate::late::QUICK;
use crate::support::batches::{batch, on_create};
use crate::support::broker::Broker;
use crate::support::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn duplicates_are_named_with_both_ids() {
    let mut desk = Desk::of(Stage::on(Broker::shared(), &["acme"], &QUICK).await, Servers::shared()).await;
    // Testmo carries the first request out after the worker has sent its cases again.
    let late = Fault::Slow { ms: 2_500, commit: CommitTime::AfterDelay };
    desk.stage.account("acme").set_faults([on_create(late).times(1)]);
    desk.start().await;
    let before = desk.scrape();
    desk.stage.publish(&batch("acme", "b-1", 2)).await;
    desk.stage.delivered("acme/b-1").await;
    until_firing(&desk, &["CourierDuplicateCases"], &before).await;

    let mut page = Page::of("CourierDuplicateCases");
    let named = page.follow(&mut desk, "journalctl", &[]).await;
    assert!(named.contains("b-1"), "{named}");
    let said = page.follow(&mut desk, "batches show", &[("TENANT", "acme"), ("BATCH", "b-1")]).await;
    page.done();
    for case in desk.stage.account("acme").cases() {
        assert!(said.contains(&case.id.to_string()), "{}: {said}", case.id);
    }
    desk.end().await;
}
