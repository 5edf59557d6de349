//! Carries out the runbook of old work that is not pruned.

use super::desk::Desk;
use super::page::Page;
use super::rules::{until_firing, until_silent};
use super::servers::Servers;
use crate::support::batches::batch;
use crate::support::stage::Stage;
use crate::unreadable::change_store;

/// How many finished batches there are: more than the first step of pruning examines.
const OLD: i64 = 450;
/// The batch that cannot be pruned; the ones before it fill the first step.
const HELD: i64 = 300;

/// Copies the finished batch of a store, each copy finished more than a month ago and a second after the one before.
fn old_copies() -> String {
    let month = 40 * 24 * 3_600_000_i64;
    let copy = |n: i64| {
        let age = month - n * 1_000;
        format!(
            "UPDATE copied SET batch_id = 'old-{n}', settled_at = (SELECT settled_at FROM batches WHERE batch_id = 'b-1') - {age}; \
             INSERT INTO batches SELECT * FROM copied; "
        )
    };
    let copies: String = (1..=OLD).map(copy).collect();
    format!("BEGIN; CREATE TEMP TABLE copied AS SELECT * FROM batches; {copies} COMMIT")
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn old_work_is_pruned_once_the_cause_is_gone() {
    let mut desk = Desk::of(Stage::with_tenants(&["acme"]).await, Servers::shared()).await;
    desk.start().await;
    let before = desk.scrape();
    desk.stage.publish(&batch("acme", "b-1", 1)).await;
    desk.stage.delivered("acme/b-1").await;
    desk.stop().await;
    change_store(&desk.stage, &old_copies()).await;
    // As a full disk or a damaged page does, but for one batch only.
    let refuse = format!(
        "CREATE TRIGGER refuse BEFORE UPDATE ON batches WHEN NEW.batch_id = 'old-{HELD}' \
         BEGIN SELECT RAISE(ABORT, 'the disk does not write this page'); END"
    );
    change_store(&desk.stage, &refuse).await;
    desk.start().await;
    until_firing(&desk, &["CourierRetentionLagging"], &before).await;

    let mut page = Page::of("CourierRetentionLagging");
    let said = page.follow(&mut desk, "journalctl", &[]).await;
    assert!(said.contains("cannot be pruned") && said.contains("the disk does not write this page"), "{said}");
    // The person removes the cause that the log names.
    change_store(&desk.stage, "DROP TRIGGER refuse").await;
    page.follow(&mut desk, "systemctl restart", &[]).await;
    page.done();
    desk.ready().await;
    until_silent(&desk, &["CourierRetentionLagging"]).await;
    let said = desk.run("journalctl --unit testmo-courier | grep 'finished batches pruned'").await;
    assert_eq!(said.0, Some(0), "{}", said.1);
    desk.end().await;
}
