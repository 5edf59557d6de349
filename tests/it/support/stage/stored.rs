//! Reads the stored state of batches, and puts batches on the shelf.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use testmo_courier::batch::Reason;
use testmo_courier::batch::ledger::{BatchRecord, BatchState};
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::shelf::{ShelfFilter, ShelfIdentity, Shelved, ShelvedUntil, Shelving};
use testmo_courier::store::trend::{Addition, Counts};
use testmo_courier::store::{LedgerStore, TrendStore};

use super::Stage;
use crate::support::waiting::until;

impl Stage {
    /// Waits until the ledger has a batch as delivered.
    pub(crate) async fn settled(&self, subject: &str) {
        let key = subject.parse().expect("a batch");
        let delivered = async || {
            let stored = self.store.batch(&key).await.expect("a store");
            stored.is_some_and(|stored| stored.record.state == BatchState::Delivered)
        };
        until(delivered).await;
    }

    /// Waits until every stored event is sent.
    pub(crate) async fn all_sent(&self) {
        until(async || self.store.unsent_count().await.expect("a store") == 0).await;
    }

    /// Returns the record of a batch.
    pub(crate) async fn record(&self, subject: &str) -> BatchRecord {
        let key = subject.parse().expect("a batch");
        self.store.batch(&key).await.expect("a store").expect("a batch that was sent").record
    }

    /// Returns the rows of the shelf.
    pub(crate) async fn shelf(&self) -> Vec<Shelved> {
        self.store.shelf(&ShelfFilter::default(), 1_000).await.expect("a store")
    }

    /// Puts a batch on the shelf, due at once.
    pub(crate) async fn shelve(&self, batch: &Value, reason: Reason) {
        self.shelve_until(batch, reason, ShelvedUntil::After(Duration::ZERO), 1).await;
    }

    /// Puts a batch on the shelf, where it waits for a person.
    pub(crate) async fn shelve_for_person(&self, batch: &Value, reason: Reason) {
        self.shelve_for_person_since(batch, reason, 1).await;
    }

    /// Puts a batch on the shelf that arrived at a time, in milliseconds on the store's clock, and waits for a person.
    pub(crate) async fn shelve_for_person_since(&self, batch: &Value, reason: Reason, arrived_at: i64) {
        self.shelve_until(batch, reason, ShelvedUntil::Person, arrived_at).await;
    }

    async fn shelve_until(&self, batch: &Value, reason: Reason, until: ShelvedUntil, arrived_at: i64) {
        let text = |member: &str| batch[member].as_str().expect("a text").to_owned();
        let key = format!("{}/{}", text("tenant_id"), text("batch_id")).parse().expect("a batch");
        let row = Shelving {
            identity: ShelfIdentity::Batch(key, "1:f".into()),
            reason,
            detail: None,
            until,
            account: None,
            connection: None,
            parks: 1,
            failing_since: None,
            arrived_at,
            published_at: None,
            headers: Default::default(),
            body: batch.to_string().into_bytes().into(),
        };
        self.store.commit(Commit { shelve: Some(row), ..Commit::default() }.into()).await.expect("a store");
    }

    /// Adds to the trend what a worker counted at a time, in milliseconds on the store's clock.
    pub(crate) async fn add_to_trend(&self, at: i64, counts: Counts) {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let addition = Addition { source: "an earlier worker".into(), number, at, counts };
        self.store.add_to_trend(&addition).await.expect("a store");
    }

    /// Waits until the shelf is as wanted, and returns its rows.
    pub(crate) async fn shelf_until(&self, wanted: impl Fn(&[Shelved]) -> bool) -> Vec<Shelved> {
        until(async || wanted(&self.shelf().await)).await;
        self.shelf().await
    }
}
