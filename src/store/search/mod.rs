//! Keeps what batches are found by, apart from the work: a worker fills it in steps from the outbox and the shelf.

mod fill;
mod form;
mod hits;
mod progress;
mod prune;
mod query;
mod sources;
#[cfg(test)]
pub(in crate::store) mod statements;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::any::AnyRow;

pub use self::hits::ShelfHit;
pub use self::progress::Unsearched;
pub use self::prune::SearchRound;
pub use self::query::{CandidatePage, SearchQuery};
use super::sql::Columns;
use super::{Store, StoreError};
use crate::batch::search::SearchDocument;
use crate::batch::{BatchId, TenantId};

/// What is done for the search in the background. A store without one has nothing to do.
#[async_trait]
pub trait SearchStore: Send + Sync {
    /// Makes the next batches searchable, about `most`, and returns what is left. Of several workers one does it at a time,
    /// under the name `holder`.
    ///
    /// # Errors
    /// When the store does not answer; all of the step may be stored then, or nothing.
    async fn fill_search(&self, _holder: &str, _most: u32) -> Result<FillStep, StoreError> {
        Ok(FillStep::default())
    }

    /// Examines the next `most` rows of a round, removes those of batches that are no longer kept, and counts them.
    ///
    /// # Errors
    /// When the store does not answer; all of the step may be removed then, or nothing.
    async fn prune_search(&self, round: &mut SearchRound, _most: u32) -> Result<u64, StoreError> {
        round.end();
        Ok(0)
    }
}

/// What a step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FillStep {
    /// How many events and entries of the shelf it read.
    pub read: u64,
    /// Whether it left any.
    pub is_more: bool,
}

/// What a row of the search stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SearchName {
    /// The tenant, as far as known.
    pub tenant: Option<TenantId>,
    /// The id of the batch, as far as known.
    pub batch: Option<BatchId>,
    /// The entry of the shelf, if it is not known to be the batch itself; otherwise 0.
    pub shelf_id: i64,
}

/// A row that may match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its place: newer ones have higher numbers.
    pub seq: i64,
    /// What it stands for.
    pub name: SearchName,
    /// Its values.
    pub document: SearchDocument,
}

#[async_trait]
impl SearchStore for Store {
    async fn fill_search(&self, holder: &str, most: u32) -> Result<FillStep, StoreError> {
        fill::fill(self, holder, most).await
    }

    async fn prune_search(&self, round: &mut SearchRound, most: u32) -> Result<u64, StoreError> {
        prune::prune(self, round, most).await
    }
}

impl SearchName {
    /// Returns the texts of tenant and batch as they are stored: empty where they are not known.
    fn texts(&self) -> (&str, &str) {
        let tenant = self.tenant.as_ref().map_or("", TenantId::as_str);
        (tenant, self.batch.as_ref().map_or("", BatchId::as_str))
    }

    fn of_row(row: &AnyRow) -> Result<Self, StoreError> {
        let (tenant, batch) = (row.text("tenant_id")?, row.text("batch_id")?);
        Ok(Self {
            tenant: TenantId::new(&tenant).ok(),
            batch: BatchId::new(&batch).ok(),
            shelf_id: row.int("shelf_id")?,
        })
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
