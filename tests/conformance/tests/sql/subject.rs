//! Lets the SQL stores take part in the cases of every store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use testmo_conformance::Subject;
use testmo_conformance::values::tenant;
use testmo_courier::batch::BatchKey;
use testmo_courier::clock::Clock;
use testmo_courier::store::accounts::LaneOverride;
use testmo_courier::store::history::HistoryEntry;
use testmo_courier::store::removal::RemovalOutcome;
use testmo_courier::store::shelf::{ShelfFilter, Shelved};
use testmo_courier::store::{Storage, Store};

use crate::stores::SqlStore;

#[async_trait]
impl Subject for SqlStore {
    fn store(&self) -> &dyn Storage {
        &self.store
    }

    async fn another_worker(&self) -> Arc<dyn Storage> {
        if self.config.is_shared() {
            Arc::new(Store::open(&self.config, false, Clock::standing_at(9_999_999_999)).await.unwrap())
        } else {
            Arc::new(self.store.clone())
        }
    }

    async fn set_time(&self, ms: i64) {
        self.set_time(ms).await;
    }

    async fn shelf(&self) -> Vec<Shelved> {
        self.store.shelf(&ShelfFilter::default(), 1_000).await.unwrap()
    }

    async fn set_lane_override(&self, order: &LaneOverride) {
        self.store.set_lane_override(order).await.unwrap();
    }

    async fn begin_removal(&self, hold: Duration) {
        assert!(self.store.begin_removal(&tenant(), hold).await.unwrap().is_some());
    }

    async fn end_removal(&self) {
        self.store.end_removal(&tenant()).await.unwrap();
    }

    async fn history(&self, key: &BatchKey) -> (Vec<HistoryEntry>, u64) {
        let history = self.store.history(key).await.unwrap();
        (history.entries, history.dropped)
    }

    async fn remove_tenant(&self, version: &str) -> RemovalOutcome {
        self.store.remove_tenant(&tenant(), version, &[]).await.unwrap()
    }
}
