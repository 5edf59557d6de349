//! Says why an entry of the shelf cannot be replayed or discarded.

use crate::batch::ledger::BatchState;
use crate::store::unfinished::Unfinished;

/// Why an entry of the shelf cannot be replayed or discarded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayable {
    /// Its batch is not finished.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    /// The message is not a batch.
    #[error("the message is not a batch: {0}")]
    NotABatch(String),
    /// The message is larger than the worker takes.
    #[error(
        "the message has {bytes} bytes, and the worker accepts at most {most}: publish the cases in several smaller \
         batches"
    )]
    TooLarge {
        /// The size of the message.
        bytes: usize,
        /// The largest size that the worker takes.
        most: usize,
    },
    /// The message is larger than the worker accepts once it is decompressed.
    #[error(
        "the message has more than {most} bytes when decompressed, which is the most that the worker accepts: publish \
         the cases in several smaller batches"
    )]
    TooLargeDecompressed {
        /// The largest size that the worker accepts.
        most: usize,
    },
    /// The ledger holds another batch with the same id.
    #[error("another batch with this batch_id was received before: publish the cases with a new batch_id")]
    Conflict,
    /// All its cases are delivered.
    #[error("all cases of the batch are already in Testmo: the entry can be discarded")]
    Delivered,
    /// Each of its cases is delivered or was refused for its faults.
    #[error(
        "each case that did not arrive is faulty, so it would be refused again: correct these cases and publish them \
         with a new batch_id"
    )]
    Faulty,
    /// The entry has changed since the person saw it.
    #[error("the entry was changed meanwhile")]
    Changed,
    /// A person gave the batch up.
    #[error("the batch already ended as {}: publish the cases with a new batch_id", .0.name())]
    GivenUp(BatchState),
}
