//! Removes rows that are older than the retention, in small steps, so that nothing else waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::every::Every;
use crate::guard::{Task, may_panic};
use crate::store::{PruneCounts, StoreError};
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// How often the store is searched for rows that are old enough.
const PERIOD: Duration = Duration::from_secs(600);
/// The maximum number of batches and events of one step.
const STEP: u32 = 100;
/// The pause between two steps, in which others use the store.
const PAUSE: Duration = Duration::from_millis(100);

/// Prunes rows that are older than the retention until `stop`.
pub(in crate::worker) async fn prune(context: Arc<WorkerContext>, stop: CancellationToken) {
    let mut every = Every::new(PERIOD, stop);
    while every.is_due().await {
        let pruning = unit(&context, Task::Prune, &"finished batches", prune_all(&context));
        match every.unless_stopped(pruning).await {
            Some(Ok(PruneCounts { batches, events, unheard })) if batches + events + unheard > 0 => {
                tracing::info!(batches, events, expired_events = unheard, "finished batches pruned");
            }
            Some(Err(error)) => tracing::warn!(%error, "finished batches cannot be pruned"),
            Some(Ok(_)) | None => {}
        }
    }
}

/// Prunes step by step until nothing is left to prune, and returns how many rows were removed.
async fn prune_all(context: &WorkerContext) -> Result<PruneCounts, StoreError> {
    may_panic("prune", &"old work");
    let mut pruned = PruneCounts::default();
    loop {
        let step = context.store.prune(context.config.store.retention, STEP).await?;
        pruned.batches += step.batches;
        pruned.events += step.events;
        pruned.unheard += step.unheard;
        context.metrics.outbox_expired_events.inc_by(step.unheard);
        if [step.batches, step.events, step.unheard].iter().all(|removed| *removed < u64::from(STEP)) {
            return Ok(pruned);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
