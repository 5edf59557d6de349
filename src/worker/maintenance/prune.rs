//! Removes rows that are older than the retention, in small steps, so that nothing else waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::every::Every;
use super::pace::Pace;
use crate::guard::{Task, may_panic};
use crate::store::{PruneCounts, StoreError};
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// How often the store is searched for rows that are old enough.
const PERIOD: Duration = Duration::from_secs(600);

/// Prunes rows that are older than the retention until `stop`.
pub(in crate::worker) async fn prune(context: Arc<WorkerContext>, stop: CancellationToken) {
    let mut every = Every::new(PERIOD, stop);
    let mut lag = Lag::new(&context);
    while every.is_due().await {
        let pruning = unit(&context, Task::Prune, &"finished batches", prune_all(&context, &mut lag));
        match every.unless_stopped(pruning).await {
            Some(Ok(counts)) if counts != PruneCounts::default() => {
                let PruneCounts { batches, events, unheard, discarded } = counts;
                tracing::info!(batches, events, expired_events = unheard, discarded, "finished batches pruned");
            }
            Some(Err(error)) => tracing::warn!(%error, "finished batches cannot be pruned"),
            Some(Ok(_)) | None => {}
        }
        lag.show(&context);
        let forgetting = unit(&context, Task::Prune, &"written cases", forget_written(&context));
        match every.unless_stopped(forgetting).await {
            Some(Ok(cases)) if cases > 0 => tracing::info!(cases, "written cases forgotten"),
            Some(Err(error)) => tracing::warn!(%error, "written cases cannot be forgotten"),
            Some(Ok(_)) | None => {}
        }
        let forgetting = unit(&context, Task::Prune, &"old replays", forget_replays(&context));
        if let Some(Err(error)) = every.unless_stopped(forgetting).await {
            tracing::warn!(%error, "old replays cannot be removed");
        }
        let forgetting = unit(&context, Task::Prune, &"the audit", forget_audit(&context));
        match every.unless_stopped(forgetting).await {
            Some(Ok(entries)) if entries > 0 => tracing::info!(entries, "old entries of the audit removed"),
            Some(Err(error)) => tracing::warn!(%error, "old entries of the audit cannot be removed"),
            Some(Ok(_)) | None => {}
        }
        let forgetting = unit(&context, Task::Prune, &"the trend", context.store.forget_trend());
        if let Some(Err(error)) = every.unless_stopped(forgetting).await {
            tracing::warn!(%error, "old steps of the trend cannot be removed");
        }
        let filling = unit(&context, Task::Prune, &"causes of shelved batches", fill_causes(&context));
        if let Some(Err(error)) = every.unless_stopped(filling).await {
            tracing::warn!(%error, "the causes of shelved batches cannot be computed");
        }
        let counting = unit(&context, Task::Prune, &"cases of shelved batches", count_cases(&context));
        if let Some(Err(error)) = every.unless_stopped(counting).await {
            tracing::warn!(%error, "the cases of shelved batches cannot be counted");
        }
    }
}

/// Repeats a step, which is given how many rows it may take, until nothing is left to do; returns how much was done. Each step
/// returns how much it did, and whether more may be left.
async fn in_steps<F>(step: impl Fn(u32) -> F) -> Result<u64, StoreError>
where
    F: Future<Output = Result<(u64, bool), StoreError>>,
{
    let (mut all, mut pace) = (0, Pace::default());
    loop {
        let began = Instant::now();
        let (done, is_more) = step(pace.most).await?;
        all += done;
        if !is_more {
            return Ok(all);
        }
        let took = began.elapsed();
        pace = pace.after(took);
        tokio::time::sleep(Pace::pause(took)).await;
    }
}

/// Returns what a step did that found more to do if it took as much as it may.
fn full_or_last(done: u64, most: u32) -> (u64, bool) {
    (done, done >= u64::from(most))
}

/// Computes the causes of what an earlier version shelved.
async fn fill_causes(context: &WorkerContext) -> Result<u64, StoreError> {
    in_steps(|most| async move { Ok(full_or_last(context.store.fill_causes(most).await?, most)) }).await
}

/// Removes the replays that ended before the retention.
async fn forget_replays(context: &WorkerContext) -> Result<u64, StoreError> {
    let retention = context.config.store.retention;
    let step = |most| async move {
        let removed = context.store.forget_replays(retention, most).await?;
        Ok((removed, removed > 0))
    };
    in_steps(step).await
}

/// Counts the cases of what an earlier version shelved, and of large messages.
async fn count_cases(context: &WorkerContext) -> Result<u64, StoreError> {
    in_steps(|most| async move { Ok((0, context.store.count_cases(most).await?)) }).await
}

/// Forgets what was written longer ago than it is remembered, and returns how many cases.
async fn forget_written(context: &WorkerContext) -> Result<u64, StoreError> {
    let remember = context.config.content.remember;
    in_steps(|most| async move { Ok(full_or_last(context.store.forget_written(remember, most).await?, most)) }).await
}

/// Removes entries of the audit that are older than they are kept, and returns how many.
async fn forget_audit(context: &WorkerContext) -> Result<u64, StoreError> {
    let kept = context.config.store.audit_retention;
    in_steps(|most| async move { Ok(full_or_last(context.store.forget_audit(kept, most).await?, most)) }).await
}

/// How far pruning has come.
struct Lag {
    retention_ms: i64,
    /// Everything that was finished before has been examined; in milliseconds on the store's clock.
    reached: i64,
}

impl Lag {
    /// Until something is examined, nothing is known to be older than the retention.
    fn new(context: &WorkerContext) -> Self {
        let retention_ms = i64::try_from(context.config.store.retention.as_millis()).unwrap_or(i64::MAX);
        Self { retention_ms, reached: context.store.now().saturating_sub(retention_ms) }
    }

    fn show(&self, context: &WorkerContext) {
        let lag_ms = context.store.now().saturating_sub(self.retention_ms).saturating_sub(self.reached);
        context.metrics.retention_lag_seconds.set(lag_ms.max(0) / 1_000);
    }
}

/// Prunes step by step until nothing is left to prune, and returns how many rows were removed.
async fn prune_all(context: &WorkerContext, lag: &mut Lag) -> Result<PruneCounts, StoreError> {
    may_panic("prune", &"old work");
    let (mut pruned, mut pace) = (PruneCounts::default(), Pace::default());
    let mut round = context.store.begin_pruning(context.config.store.retention).await?;
    loop {
        let step = context.store.prune_step(&mut round, pace.most).await?;
        pruned.batches += step.batches;
        pruned.events += step.events;
        pruned.unheard += step.unheard;
        context.metrics.outbox_expired_events.inc_by(step.unheard);
        if let Some(reached) = round.reached() {
            lag.reached = reached;
            lag.show(context);
        }
        if round.is_done() {
            return Ok(pruned);
        }
        pace = pace.after(round.took);
        tokio::time::sleep(Pace::pause(round.took)).await;
    }
}
