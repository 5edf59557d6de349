//! States why nothing is taken back.

use std::time::Duration;

use crate::app::actor::NotAllowed;
use crate::app::connections::ConnectionError;
use crate::batch::{BatchKey, TenantId};
use crate::store::StoreError;
use crate::testmo::NoClient;

/// Why nothing is taken back.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// No reason was given.
    #[error("a reason is needed, and none was given")]
    NoReason,
    /// There is no connection to send requests with.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The connection cannot be used.
    #[error("the connection of tenant {tenant} cannot be used ({why})")]
    NoAccess {
        /// The tenant.
        tenant: TenantId,
        /// The cause.
        why: String,
    },
    /// The ledger does not know the batch.
    #[error("no case of batch {0} was sent")]
    NoBatch(BatchKey),
    /// The details of the batch are no longer kept.
    #[error("the ids of the cases of batch {0} are no longer kept (store.retention)")]
    Pruned(BatchKey),
    /// The batch has no outcome yet.
    #[error("batch {0} is not finished")]
    NotFinished(BatchKey),
    /// Rows of the batch may still appear.
    #[error("rows of batch {0} may still appear: its late-duplicate check has not run yet")]
    LateRows(BatchKey),
    /// There is nothing that could be taken back.
    #[error("there is nothing to take back of batch {0}")]
    Nothing(BatchKey),
    /// Something else has been begun with the batch.
    #[error("`batches {begun}` was begun with batch {key} and is not finished: run it again first")]
    Begun {
        /// The command that was begun.
        begun: &'static str,
        /// The batch.
        key: BatchKey,
    },
    /// Another command is at work on the batch, or a request of one may be under way.
    #[error("a request for the batch may be under way: try again in {} s", .wait.as_secs() + 1)]
    UnderWay {
        /// For how long.
        wait: Duration,
    },
    /// A later batch of the same source is being written.
    #[error("batch {0} of the same source is being written: try again once it is finished")]
    SourceBusy(BatchKey),
    /// Requests to the account are paused.
    #[error("Testmo was not read to the end: {0}")]
    Paused(String),
    /// Testmo could not be read, or did not take a request.
    #[error("a request failed ({0})")]
    Failed(String),
    /// A list has no end.
    #[error("Testmo's list of cases does not end")]
    Endless,
    /// A worker or another person has changed the batch since.
    #[error("the batch was changed meanwhile")]
    Changed,
    /// Testmo cannot be asked.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
