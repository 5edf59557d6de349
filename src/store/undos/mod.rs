//! Keeps what people take back of batches, and how far that has come, as long as the details of the batches.

mod read;
mod rows;

use crate::batch::ledger::BatchState;
use crate::batch::undo::{How, UndoItem, UndoKind};

pub(super) use self::rows::store;

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
