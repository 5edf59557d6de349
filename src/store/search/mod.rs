//! Keeps what batches are found by, apart from the work: a worker fills it in steps from the outbox and the shelf.

mod choice;
mod fill;
mod form;
mod hits;
mod junction;
mod model;
mod progress;
mod prune;
mod query;
mod server;
mod sources;
#[cfg(test)]
pub(in crate::store) mod statements;
mod way;

use async_trait::async_trait;

pub use self::hits::ShelfHit;
pub use self::model::{Candidate, CandidatePage, FillStep, SearchName, SearchQuery};
pub use self::progress::Unsearched;
pub use self::prune::SearchRound;
use super::{Store, StoreError};

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

#[async_trait]
impl SearchStore for Store {
    async fn fill_search(&self, holder: &str, most: u32) -> Result<FillStep, StoreError> {
        fill::fill(self, holder, most).await
    }

    async fn prune_search(&self, round: &mut SearchRound, most: u32) -> Result<u64, StoreError> {
        prune::prune(self, round, most).await
    }
}
