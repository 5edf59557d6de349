//! Names what planning and changing replays reads and stores.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::super::shelf::{EntryName, SelectionError, named};
use crate::batch::BatchKey;
use crate::store::ledger::StoredBatch;
use crate::store::replays::{ReplayId, ReplayRow};
use crate::store::shelf::{ShelfFilter, ShelfId, Shelved};
use crate::store::{AccountStore, ConnectionStore, ReplayStore, Store, StoreError, StoreHealth};

/// A store as people see it who plan and change replays: the product's, or one in memory.
#[async_trait]
pub trait PlanStore: ReplayStore + AccountStore + ConnectionStore + StoreHealth {
    /// Reads the ids of entries by their names, each id once.
    ///
    /// # Errors
    /// When a name has no entry, or the store does not answer.
    async fn named(&self, names: &[EntryName]) -> Result<Vec<ShelfId>, SelectionError>;

    /// Returns the highest id on the shelf.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn highest_on_shelf(&self) -> Result<Option<ShelfId>, StoreError>;

    /// Returns up to `most` entries that match a filter without their messages, in the order of their arrival, behind the
    /// place `after`; and the place of the last one that was read.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn shelf_heads(
        &self,
        filter: &ShelfFilter,
        after: Option<(i64, i64)>,
        most: u32,
    ) -> Result<(Vec<Shelved>, Option<(i64, i64)>), StoreError>;

    /// Returns the records of batches, `None` for one that this version cannot read.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn batches_of(&self, keys: &HashSet<BatchKey>) -> Result<HashMap<BatchKey, Option<StoredBatch>>, StoreError>;

    /// Returns the replay of each entry that waits in a running or paused one, or is under way in it.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn replays_of(&self, entries: &[ShelfId]) -> Result<HashMap<ShelfId, ReplayId>, StoreError>;

    /// Returns how long the last create requests to an account took, in milliseconds.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn request_times(&self, account: &str) -> Result<Vec<i64>, StoreError>;

    /// Returns a replay.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn replay(&self, id: ReplayId) -> Result<Option<ReplayRow>, StoreError>;
}

#[async_trait]
impl PlanStore for Store {
    async fn named(&self, names: &[EntryName]) -> Result<Vec<ShelfId>, SelectionError> {
        named(self, names).await
    }

    async fn highest_on_shelf(&self) -> Result<Option<ShelfId>, StoreError> {
        Self::highest_on_shelf(self).await
    }

    async fn shelf_heads(
        &self,
        filter: &ShelfFilter,
        after: Option<(i64, i64)>,
        most: u32,
    ) -> Result<(Vec<Shelved>, Option<(i64, i64)>), StoreError> {
        Self::shelf_heads(self, filter, after, most).await
    }

    async fn batches_of(&self, keys: &HashSet<BatchKey>) -> Result<HashMap<BatchKey, Option<StoredBatch>>, StoreError> {
        Self::batches_of(self, keys.iter().collect()).await
    }

    async fn replays_of(&self, entries: &[ShelfId]) -> Result<HashMap<ShelfId, ReplayId>, StoreError> {
        Self::replays_of(self, entries).await
    }

    async fn request_times(&self, account: &str) -> Result<Vec<i64>, StoreError> {
        Self::request_times(self, account).await
    }

    async fn replay(&self, id: ReplayId) -> Result<Option<ReplayRow>, StoreError> {
        Self::replay(self, id).await
    }
}
