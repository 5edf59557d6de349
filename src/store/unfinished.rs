//! Says why a batch is not finished and cannot be given up now.

use std::time::Duration;

/// Why a batch is not finished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfinished {
    /// A worker has it.
    #[error("a worker has the batch in hand: wait until it is delivered or back on the shelf")]
    InHand,
    /// A request with its cases may be under way.
    #[error("a request with cases of the batch may be in flight: try again in {} s", wait.as_secs() + 1)]
    Pushing {
        /// How long the request may still take.
        wait: Duration,
    },
    /// The outcome of its last request is unknown.
    #[error(
        "the outcome of the last request is unknown: wait until the batch is delivered, or discard it with \
         `testmo-courier shelf discard`"
    )]
    Unclear,
    /// It is neither finished nor on the shelf.
    #[error("the batch is being delivered: wait until it is delivered or on the shelf")]
    Open,
}
