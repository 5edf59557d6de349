//! Claims the source of the cases of a batch that is taken back.

use crate::batch::BatchKey;
use crate::batch::written::SourceId;
use crate::store::written::{SourceClaim, SourceOutcome};
use crate::store::{Store, StoreError, WrittenStore};

/// The source of the cases of a batch, which the batch had when what is remembered of them was read.
#[derive(Clone, Debug)]
pub(super) struct Source<'a> {
    store: &'a Store,
    id: SourceId,
    batch: BatchKey,
    /// When the cases of the latest generation that was written were generated.
    pub(super) latest_at: Option<i64>,
}

impl<'a> Source<'a> {
    /// Claims a source for a batch; `Err` names another batch that has it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn of(
        store: &'a Store,
        id: SourceId,
        batch: &BatchKey,
    ) -> Result<Result<Self, BatchKey>, StoreError> {
        let mut source = Self { store, id, batch: batch.clone(), latest_at: None };
        Ok(match source.claim().await? {
            SourceOutcome::Granted { latest_at } => {
                source.latest_at = latest_at;
                Ok(source)
            }
            SourceOutcome::Busy(other) | SourceOutcome::Superseded(other) => Err(other),
        })
    }

    /// Claims the source again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn claim(&self) -> Result<SourceOutcome, StoreError> {
        let claim = SourceClaim { source: self.id, batch: self.batch.clone(), generated_at: None };
        self.store.claim_source(&claim).await
    }
}
