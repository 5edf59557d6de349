//! Carries out the next step of a batch: its next turn, a pause, the shelf, or the end.

use std::time::Duration;

use tokio::time::Instant;

use super::job::Part;
use super::refresh::refresh_from_ledger;
use super::state::Delivery;
use crate::batch::Reason;
use crate::batch::ledger::{BatchState, CaseRecord, CaseState};
use crate::batch::verdict::is_given_up;
use crate::batch::verdict::patience::{Patience, PatienceLimits, patience};
use crate::lane::QueuePosition;
use crate::store::StoreError;
use crate::store::history::Happening;
use crate::store::ledger::Commit;
use crate::store::shelf::ShelvedUntil;
use crate::trace::logged;
use crate::worker::backoff;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, Disposition, NextStep};
use crate::worker::outcome::finish::finish;
use crate::worker::outcome::park::{park, park_expecting, park_unreadable};
use crate::worker::store_retry::STORE_PAUSE;

/// How long a batch that a person has paused stays on the shelf, unless the person resumes it.
pub(in crate::worker) const PAUSED: Duration = Duration::from_secs(24 * 3_600);

/// Returns the jittered pause for all batches that failed in one piece of work.
pub(super) fn pause_of(context: &WorkerContext, parts: &[Part]) -> Duration {
    let failed = parts.iter().filter(|part| matches!(part.next, Some(NextStep::Retry(..))));
    let tries = failed.map(|part| part.batch.tries + 1).max();
    tries.map_or(Duration::ZERO, |tries| backoff::pause(&context.live.retry(), tries))
}

/// Carries out what follows; `pause` is the shortest wait of a batch that is retried in this process.
pub(super) async fn apply_next_step(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    next_step: NextStep,
    pause: Duration,
) -> Result<Disposition, StoreError> {
    match next_step {
        NextStep::Finished => Ok(Disposition::Finished),
        NextStep::NextTurn => Ok(Disposition::Enqueue(QueuePosition::Front)),
        NextStep::Pause(pause) => Ok(after(pause)),
        NextStep::ResolveAgain => Ok(Disposition::ResolveAgain),
        NextStep::AwaitConnection(reason, detail) => {
            // It comes back after the batches that only waited for the connection.
            batch.message.parks = batch.message.parks.saturating_add(1);
            park(&delivery.context, batch, reason, detail, ShelvedUntil::Connection).await?;
            Ok(Disposition::Shelved)
        }
        NextStep::AwaitStore(row) => {
            park_unreadable(&delivery.context, batch, &row).await?;
            Ok(Disposition::Shelved)
        }
        NextStep::Defer(reason, detail, expected) => {
            let retry = &delivery.context.live.retry();
            let doubled = retry.shelf_backoff_min.saturating_mul(2_u32.saturating_pow(batch.message.parks.min(20)));
            let wait = doubled.min(retry.shelf_backoff_max);
            batch.message.parks += 1;
            let expected = ShelvedUntil::After(expected.max(wait));
            park_expecting(&delivery.context, batch, reason, detail, ShelvedUntil::After(wait), expected).await?;
            Ok(Disposition::Shelved)
        }
        NextStep::Paused => {
            park(&delivery.context, batch, Reason::Paused, None, ShelvedUntil::After(PAUSED)).await?;
            Ok(Disposition::Shelved)
        }
        NextStep::Retry(reason, detail, least) => retry(&delivery.context, batch, reason, detail, least, pause).await,
        NextStep::Refresh => match delivery.context.store.batch_at(&batch.key.batch).await? {
            (Some(stored), now) => {
                let next_step = refresh_from_ledger(delivery, batch, stored, now).await?;
                // Boxed, because a refresh can lead here again.
                Box::pin(apply_next_step(delivery, batch, next_step, pause)).await
            }
            (None, _) => Ok(after(STORE_PAUSE)),
        },
    }
}

/// Counts one more failure: the batch is retried in this process or from the shelf, or given up.
async fn retry(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    reason: Reason,
    detail: Option<String>,
    least: Duration,
    pause: Duration,
) -> Result<Disposition, StoreError> {
    batch.tries += 1;
    batch.message.waits_for(reason);
    batch.failure = Some((reason, detail.clone()));
    let (now, limits, pause) = (context.store.now(), patience_limits(context), pause.max(least));
    // Other suspects wait for this one only while it is soon tried again.
    let is_over = batch.trial().is_some_and(|trial| trial.outlasts(pause, Instant::now()));
    let tries = if is_over { batch.tries.max(limits.in_process) } else { batch.tries };
    let since = *batch.message.failing_since.get_or_insert(now);
    let failing = Duration::from_millis(u64::try_from(now - since).unwrap_or(0));
    match patience(tries, batch.message.parks, failing, &limits) {
        Patience::InProcess => {
            tracing::info!(
                batch = %batch.key.batch, trace_id = logged(batch.trace()), %reason, detail, backoff = ?pause,
                "the batch is tried again after a pause"
            );
            let what = Happening::retried(reason, detail.as_deref());
            let until = now.saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
            batch.note(what, now, Some(until));
            Ok(after(pause))
        }
        Patience::Shelf(wait) => {
            batch.message.parks += 1;
            park(context, batch, reason, detail, ShelvedUntil::After(wait.max(least))).await?;
            Ok(Disposition::Shelved)
        }
        Patience::Exhausted if !is_given_up(reason) => {
            batch.message.parks = batch.message.parks.saturating_add(1);
            park(
                context,
                batch,
                reason,
                detail,
                ShelvedUntil::After(context.live.retry().shelf_backoff_max.max(least)),
            )
            .await?;
            Ok(Disposition::Shelved)
        }
        Patience::Exhausted => {
            let arrived = |case: &CaseRecord| matches!(case.state, CaseState::Created(_) | CaseState::Adopted(_));
            let partly = batch.record.cases.iter().any(arrived);
            let state = if partly { BatchState::Partial } else { BatchState::Failed };
            let changed = finish(context, batch, state, Some(Reason::RetriesExhausted), Commit::default()).await?;
            Ok(if changed.is_done() { Disposition::Finished } else { after(STORE_PAUSE) })
        }
    }
}

fn after(pause: Duration) -> Disposition {
    Disposition::Enqueue(QueuePosition::NotBefore(Instant::now() + pause))
}

/// Returns the configured limits of retries.
fn patience_limits(context: &WorkerContext) -> PatienceLimits {
    let retry = &context.live.retry();
    PatienceLimits {
        in_process: retry.max_attempts,
        first_park: retry.shelf_backoff_min,
        longest_park: retry.shelf_backoff_max,
        horizon: retry.give_up_after,
        least_parks: retry.give_up_min_retries,
    }
}
