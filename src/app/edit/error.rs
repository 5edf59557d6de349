//! Says why a message cannot be edited.

use super::super::actor::{ActionError, NotAllowed};
use super::locked::Locked;
use crate::batch::ledger::BatchState;
use crate::batch::{BatchKey, Fault};
use crate::store::StoreError;
use crate::store::unfinished::Unfinished;

/// Why a message cannot be edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// A worker is at work on the batch.
    #[error(transparent)]
    Unfinished(#[from] Unfinished),
    /// A replay has the batch under way.
    #[error("replay {0} has the batch under way: wait for its outcome")]
    InReplay(i64),
    /// The message is no text.
    #[error(
        "the message is not text: save it with `testmo-courier shelf show ID --body`, and give the corrected one with --file"
    )]
    NotText,
    /// The message is compressed in a way that cannot be read, or is too large to be edited.
    #[error("{0}")]
    NotRead(String),
    /// The message is not JSON, so no part of it can be set.
    #[error("the message is not JSON ({0}): edit it as a whole with `testmo-courier shelf edit ID`")]
    NotJson(Fault),
    /// The edited message is larger than the worker takes.
    #[error("the edited message has {bytes} bytes, and the worker accepts at most {most}: shorten it")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest size that the worker takes.
        most: usize,
    },
    /// The edited message breaks the contract.
    #[error("{}", first_of(.0))]
    Faulty(Vec<Fault>),
    /// Something was edited that cannot be.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// There is no such place in the message.
    #[error("{0}")]
    NoSuchPlace(String),
    /// Another batch has the batch id of the edited message.
    #[error("a batch {0} was received before: write another batch_id, or discard this entry")]
    Taken(BatchKey),
    /// A person has edited the message since, and the edited one is what is delivered.
    #[error("the message of the batch was edited since, and this entry holds an earlier one: discard it")]
    Superseded,
    /// All its cases are delivered.
    #[error("all cases of the batch are already in Testmo: the entry can be discarded")]
    Delivered,
    /// The batch was given up, or its details were pruned.
    #[error("the batch already ended as {}: publish the cases with a new batch_id", .0.name())]
    GivenUp(BatchState),
    /// The entry is no longer on the shelf.
    #[error("the entry is no longer on the shelf")]
    Gone,
    /// A worker or another person has changed the entry since it was read.
    #[error("the entry was changed meanwhile, and nothing was stored")]
    Changed,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ActionError> for EditError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotAllowed(error) => error.into(),
            ActionError::Store(error) => error.into(),
        }
    }
}

/// Writes the first fault, and how many others there are.
fn first_of(faults: &[Fault]) -> String {
    let first = faults.first().map(ToString::to_string).unwrap_or_default();
    match faults.len() {
        0 | 1 => first,
        several => format!("{first} (and {} more)", several - 1),
    }
}
