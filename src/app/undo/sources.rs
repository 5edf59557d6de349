//! Claims the sources of the cases of a batch that is taken back.

use std::collections::BTreeSet;

use crate::batch::BatchKey;
use crate::batch::written::SourceId;
use crate::store::written::{SourceClaim, SourceOutcome};
use crate::store::{StoreError, UndoStorage};

/// The sources of the cases of a batch, which the batch had when what is remembered of them was read.
#[derive(Clone, Debug)]
pub(super) struct Sources<'a> {
    store: &'a dyn UndoStorage,
    ids: BTreeSet<SourceId>,
    batch: BatchKey,
    /// When the cases of the latest generation that was written were generated.
    pub(super) latest_at: Option<i64>,
}

impl<'a> Sources<'a> {
    /// Claims sources for a batch; `Err` names another batch that has it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn of(
        store: &'a dyn UndoStorage,
        ids: BTreeSet<SourceId>,
        batch: &BatchKey,
    ) -> Result<Result<Self, BatchKey>, StoreError> {
        let mut sources = Self { store, ids, batch: batch.clone(), latest_at: None };
        Ok(match sources.claim().await? {
            SourceOutcome::Granted { latest_at } => {
                sources.latest_at = latest_at;
                Ok(sources)
            }
            SourceOutcome::Busy(other) | SourceOutcome::Superseded(other) => Err(other),
        })
    }

    /// Claims the sources again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn claim(&self) -> Result<SourceOutcome, StoreError> {
        let claim = SourceClaim { sources: self.ids.clone(), batch: self.batch.clone(), generated_at: None };
        self.store.claim_sources(&claim).await
    }
}
