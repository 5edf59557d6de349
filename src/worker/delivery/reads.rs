//! Finds out whether requests that create nothing get the same answer as a create request.

use crate::account::Signal;
use crate::batch::Reason;
use crate::batch::ledger::Target;
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::{DEFAULT_THROTTLE_PAUSE, signal_of};
use crate::store::StoreError;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, PushFeedback};
use crate::worker::permit::{check_rate_limit, note_end, report};

/// How a connection answers requests that create nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reads {
    Succeed,
    /// The same status.
    Alike,
    /// They could not be sent, or failed with another status.
    Unknown,
}

/// Asks Testmo who the key belongs to, and for a list, with the same key.
pub(super) async fn reads(
    context: &WorkerContext,
    batch: &ActiveBatch,
    status: u16,
    feedback: &mut PushFeedback,
) -> Result<Reads, StoreError> {
    let user = user_is_answered(context, batch, status, feedback).await?;
    if user != Reads::Succeed {
        return Ok(user);
    }
    let connection = &batch.connection;
    if check_rate_limit(context, &connection.access, &connection.tenant, feedback).await?.is_some() {
        return Ok(Reads::Unknown);
    }
    let own = || Target { account: batch.account().to_owned(), project: connection.project, folder: connection.folder };
    let target = batch.record.target().cloned().unwrap_or_else(own);
    feedback.requests += 1;
    let end = context.client.has_lists(&connection.access, &target).await;
    read_outcome(context, batch, end, status, feedback).await
}

async fn user_is_answered(
    context: &WorkerContext,
    batch: &ActiveBatch,
    status: u16,
    feedback: &mut PushFeedback,
) -> Result<Reads, StoreError> {
    let connection = &batch.connection;
    if check_rate_limit(context, &connection.access, &connection.tenant, feedback).await?.is_some() {
        return Ok(Reads::Unknown);
    }
    feedback.requests += 1;
    let end = context.client.user(&batch.connection.access).await.map(drop);
    read_outcome(context, batch, end, status, feedback).await
}

/// Returns what the end of a read shows about the cause, and reports what it shows about the account.
async fn read_outcome(
    context: &WorkerContext,
    batch: &ActiveBatch,
    end: Result<(), ApiError>,
    status: u16,
    feedback: &mut PushFeedback,
) -> Result<Reads, StoreError> {
    let Err(error) = end else { return Ok(Reads::Succeed) };
    if let Some(signal @ (Signal::Throttled(_) | Signal::Failed)) = signal_of(Some(&error)) {
        note_end(context, batch.account(), signal, Some(&error));
        report(context, &batch.connection.access, signal).await?;
    }
    if let ApiError::Throttled { retry_after } = error {
        context.metrics.rate_limited_responses.inc();
        feedback.close(retry_after.unwrap_or(DEFAULT_THROTTLE_PAUSE), Reason::Throttled);
    }
    let is_alike = error == ApiError::Inconclusive { status };
    Ok(if is_alike { Reads::Alike } else { Reads::Unknown })
}

/// Returns whether a status that leaves the outcome unknown is given to more than one kind of request: to a create
/// request of the batch, too, or to the question who the key belongs to.
pub(super) async fn is_answered_everywhere(
    context: &WorkerContext,
    batch: &ActiveBatch,
    status: u16,
    feedback: &mut PushFeedback,
) -> Result<bool, StoreError> {
    let of_create = batch.record.cases.iter().filter_map(|case| case.suspicion.as_ref());
    if of_create.into_iter().any(|suspicion| suspicion.status == status) {
        return Ok(true);
    }
    Ok(user_is_answered(context, batch, status, feedback).await? == Reads::Alike)
}
