//! Decides what follows a failed call, and whether the connection is to blame.

use std::time::Duration;

use crate::account::Signal;
use crate::batch::Reason;
use crate::batch::verdict::answer::ApiError;
use crate::batch::verdict::{
    DEFAULT_THROTTLE_PAUSE, NO_SOCKET_PAUSE, Verdict, after_failed_read, reason_of, signal_of,
};
use crate::store::StoreError;
use crate::store::history::Happening;
use crate::tenants::Connection;
use crate::worker::context::WorkerContext;
use crate::worker::delivery::job::Part;
use crate::worker::delivery::reads::is_answered_everywhere;
use crate::worker::model::{ActiveBatch, NextStep, PushFeedback};
use crate::worker::permit::{check_rate_limit, note_end, report};

/// Decides what follows a failed call that was no create request.
pub(super) async fn call_failed(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    error: &ApiError,
    verdict: Verdict,
    feedback: &mut PushFeedback,
) -> Result<NextStep, StoreError> {
    if let Some(signal @ (Signal::Throttled(_) | Signal::Failed)) = signal_of(Some(error)) {
        note_end(context, batch.account(), signal, Some(error));
        report(context, &batch.connection.access, signal).await?;
    }
    let detail = Some(error.to_string());
    if let (ApiError::Inconclusive { status }, Verdict::Retry(reason)) = (error, &verdict)
        && is_answered_everywhere(context, batch, *status, feedback).await?
    {
        return connection_failed(context, batch, *reason, detail, feedback).await;
    }
    Ok(match verdict {
        Verdict::Throttle(wait) => {
            context.metrics.rate_limited_responses.inc();
            let (wait, now) = (wait.unwrap_or(DEFAULT_THROTTLE_PAUSE), context.store.now());
            feedback.close(wait, Reason::Throttled);
            let until = now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX));
            batch.note(Happening::retried(Reason::Throttled, detail.as_deref()), now, Some(until));
            NextStep::NextTurn
        }
        Verdict::AwaitSocket => {
            feedback.close(NO_SOCKET_PAUSE, Reason::NoRoom);
            NextStep::NextTurn
        }
        Verdict::Park(reason) | Verdict::ParkUnclear(reason) => {
            connection_failed(context, batch, reason, detail, feedback).await?
        }
        Verdict::Retry(reason) => NextStep::Retry(reason, detail, Duration::ZERO),
        Verdict::Undecided(reason, detail) => NextStep::Retry(reason, Some(detail), Duration::ZERO),
        Verdict::Created
        | Verdict::Attribute(_)
        | Verdict::Halve { .. }
        | Verdict::RefuseAll(_)
        | Verdict::Reconcile
        | Verdict::FindCause { .. } => NextStep::Retry(reason_of(error), detail, Duration::ZERO),
    })
}

/// Decides what follows a failure that the tenant has to fix. A refused key is checked again before the tenant is
/// stopped.
pub(super) async fn connection_failed(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    reason: Reason,
    detail: Option<String>,
    feedback: &mut PushFeedback,
) -> Result<NextStep, StoreError> {
    let connection = batch.connection.clone();
    let of_folder = matches!(reason, Reason::ConnectionRejected | Reason::TargetMissing);
    if of_folder && batch.has_own_folder() && batch.relocated.is_none() {
        // A folder of this batch may have vanished: all are searched for again, once. A batch that requests none goes to
        // the tenant's present folder, which a person may have entered instead of the one that vanished.
        batch.folders.forget();
        batch.relocated = Some(context.store.now());
        return Ok(NextStep::NextTurn);
    }
    if reason == Reason::KeyRefused {
        if let Some(next_step) = check_rate_limit(context, &connection.access, &connection.tenant, feedback).await? {
            return Ok(next_step);
        }
        feedback.requests += 1;
        match context.client.user(&connection.access).await {
            Err(ApiError::KeyRefused) => {}
            Err(error @ ApiError::Throttled { .. }) => {
                let verdict = after_failed_read(&error);
                return Box::pin(call_failed(context, batch, &error, verdict, feedback)).await;
            }
            Ok(_) | Err(_) => return Ok(NextStep::Retry(Reason::KeyRefused, detail, Duration::ZERO)),
        }
    }
    let whatever_its_folder = matches!(
        reason,
        Reason::KeyRefused | Reason::UnexpectedStatus | Reason::NotTestmo | Reason::ConnectionRejected
    );
    if !batch.has_own_folder() || whatever_its_folder {
        if reason != Reason::KeyRefused && works_since_blamed(context, batch).await? {
            // It would stop all other batches of the tenant again, although they arrive.
            return Ok(NextStep::Defer(reason, detail, Duration::ZERO));
        }
        let Connection { tenant, version, epoch, .. } = &*connection;
        let why = detail.as_deref().unwrap_or_default();
        let written = context.store.record_refusal(tenant, version, *epoch, reason, why).await?;
        context.tenants.forget(tenant);
        if !written.is_done() {
            // The verdict may be about an outdated connection: read the connection again, and retry the batch with it.
            return Ok(NextStep::ResolveAgain);
        }
        tracing::warn!(tenant = %connection.tenant, %reason, detail, "the tenant's connection failed");
    }
    Ok(NextStep::AwaitConnection(reason, detail))
}

/// Returns whether cases have arrived over the connection since it was blamed for this batch: then it works for other
/// batches.
async fn works_since_blamed(context: &WorkerContext, batch: &ActiveBatch) -> Result<bool, StoreError> {
    let Some(blamed_at) = batch.blamed_at() else { return Ok(false) };
    let row = context.store.connection(&batch.connection.tenant).await?;
    Ok(row.and_then(|row| row.last_success_at).is_some_and(|arrived_at| arrived_at > blamed_at))
}

/// Checks once for all batches whether the connection is to blame, where the answer said so.
pub(super) async fn blame_connection(
    context: &WorkerContext,
    parts: Vec<&mut Part>,
    feedback: &mut PushFeedback,
) -> Result<(), StoreError> {
    let mut verdict: Option<(Reason, NextStep)> = None;
    let mut blaming = Vec::new();
    for part in parts {
        match part.next.take() {
            Some(NextStep::AwaitConnection(reason, detail)) => blaming.push((part, reason, detail)),
            other => part.next = other,
        }
    }
    // If that fails for one of them, nothing follows for those after it: a batch is parked only for a connection that
    // was found to fail.
    for (part, reason, detail) in blaming {
        let batch = &mut part.batch;
        let own = batch.has_own_folder();
        let next_step = match &verdict {
            // Each batch waits for what was refused of its own cases.
            Some((known, NextStep::AwaitConnection(..))) if *known == reason && !own => {
                NextStep::AwaitConnection(reason, detail)
            }
            Some((known, next_step)) if *known == reason && !own => next_step.clone(),
            Some(_) | None => connection_failed(context, batch, reason, detail, feedback).await?,
        };
        if !own {
            verdict = Some((reason, next_step.clone()));
        }
        part.next = Some(next_step);
    }
    Ok(())
}
