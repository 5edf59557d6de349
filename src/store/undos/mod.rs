//! Keeps what people take back of batches, and how far that has come, as long as the details of the batches.

mod read;
mod rows;

use async_trait::async_trait;

use super::StoreError;
use crate::batch::BatchKey;
use crate::batch::ledger::BatchState;
use crate::batch::undo::{Former, How, Undo, UndoItem, UndoKind};
use crate::batch::written::SourceId;

pub(super) use self::rows::store;

/// What is asked about batches that are taken back. Steps are stored by [`Commit::undo`](super::ledger::Commit).
#[async_trait]
pub trait UndoStore: Send + Sync {
    /// Returns what people have taken back of a batch, the latest first, without its rows.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn undos(&self, key: &BatchKey) -> Result<Vec<Undo>, StoreError>;

    /// Returns the rows of an undo, in their order.
    ///
    /// # Errors
    /// When the store does not answer, or a row cannot be read.
    async fn undo_items(&self, key: &BatchKey, number: u64) -> Result<Vec<UndoItem>, StoreError>;

    /// Returns what is kept of the cases of a batch from before it wrote fields of theirs.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn former_values(&self, batch: &BatchKey) -> Result<Former, StoreError>;

    /// Returns which batch has written the latest generation of any of these sources, and when its cases were generated, in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn latest_generation(&self, sources: &[SourceId]) -> Result<Option<(i64, BatchKey)>, StoreError>;

    /// Returns the bodies of the events of a batch that are kept, the oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn event_bodies(&self, key: &BatchKey) -> Result<Vec<String>, StoreError>;
}

/// A step of an undo, which is stored with the record of its batch: only if the record is where the step started from.
#[derive(Clone, Debug)]
pub struct UndoStep {
    /// The number of the undo in its batch.
    pub number: u64,
    /// What is begun by this step.
    pub begins: Option<UndoBegin>,
    /// The rows that the step changes, each with its place in the undo.
    pub items: Vec<(u32, UndoItem)>,
    /// Whether the undo is finished.
    pub ends: bool,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct UndoBegin {
    /// What a person has asked for.
    pub kind: UndoKind,
    /// What is done with cases that nobody touched.
    pub how: How,
    /// The state that the batch was in before.
    pub before: BatchState,
}
