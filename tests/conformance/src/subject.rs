//! States what the cases need of a store beside the traits that a worker sees.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use testmo_courier::batch::BatchKey;
use testmo_courier::store::Storage;
use testmo_courier::store::accounts::LaneOverride;
use testmo_courier::store::connections::{ConnectionRow, Verification, WriteOutcome};
use testmo_courier::store::history::HistoryEntry;
use testmo_courier::store::ledger::StoredBatch;
use testmo_courier::store::removal::RemovalOutcome;
use testmo_courier::store::shelf::Shelved;

use crate::values::tenant;

/// An empty store whose clock stands at [`START`](crate::values::START) until it is set.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Returns the store as a worker sees it.
    fn store(&self) -> &dyn Storage;

    /// Returns the same store as another worker sees it.
    async fn another_worker(&self) -> Arc<dyn Storage>;

    /// Sets the store's clock, in milliseconds since 1970.
    async fn set_time(&self, ms: i64);

    /// Returns everything on the shelf, oldest entry first.
    async fn shelf(&self) -> Vec<Shelved>;

    /// Stores what an operator orders for a lane.
    async fn set_lane_override(&self, order: &LaneOverride);

    /// Pauses the work of [`tenant`] for at most `hold`, as a command does before it asks whether to remove the tenant.
    async fn begin_removal(&self, hold: Duration);

    /// Ends that pause.
    async fn end_removal(&self);

    /// Removes [`tenant`], whose connection has a version.
    async fn remove_tenant(&self, version: &str) -> RemovalOutcome;

    /// Returns what is kept of the waits, retries and reconciliations of a batch, and how many older entries were dropped.
    async fn history(&self, key: &BatchKey) -> (Vec<HistoryEntry>, u64);

    /// Returns what is stored of a batch.
    async fn batch(&self, key: &BatchKey) -> Option<StoredBatch> {
        self.store().batch_at(key).await.unwrap().0
    }

    /// Stores a connection in place of the tenant's present one.
    async fn connect(&self, row: &ConnectionRow) {
        let epoch = self.store().connection(&row.tenant).await.unwrap().map_or(0, |stored| stored.epoch);
        let row = ConnectionRow { epoch, ..row.clone() };
        assert_eq!(self.store().set_connection(&row).await.unwrap(), WriteOutcome::Done);
    }

    /// Stores the result of a verification of the present connection of [`tenant`].
    async fn record_verification(&self, finding: &Verification) {
        let row = self.store().connection(&tenant()).await.unwrap().unwrap();
        let written = self.store().record_verification(&tenant(), &row.version, row.epoch, finding).await.unwrap();
        assert_eq!(written, WriteOutcome::Done);
    }
}
