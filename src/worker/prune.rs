//! When does settled work lose its weight? In small steps, now and then, so that nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use crate::guard::{Task, may_panic};
use crate::store::{PruneCounts, StoreError};

/// How often there is a look for what is old enough.
const LOOK: Duration = Duration::from_secs(600);
/// The most batches and events of one step.
const STEP: u32 = 100;
/// The pause between two steps, in which others have the store.
const PAUSE: Duration = Duration::from_millis(100);

/// Prunes what is older than the retention until `stop`.
pub(super) async fn prune(courier: Arc<Courier>, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            pruned = courier.unit(Task::Prune, &"old work", prune_all(&courier)) => match pruned {
                Ok(pruned) if pruned == PruneCounts::default() => {}
                Ok(PruneCounts { batches, events, unheard }) => {
                    tracing::info!(batches, events, unheard, "old work pruned");
                }
                Err(error) => tracing::warn!(%error, "old work cannot be pruned"),
            }
        }
    }
}

/// Prunes step by step until nothing is left to prune, and tells how much it was.
async fn prune_all(courier: &Courier) -> Result<PruneCounts, StoreError> {
    may_panic("prune", &"old work");
    let mut pruned = PruneCounts::default();
    loop {
        let step = courier.store.prune(courier.config.store.retention, STEP).await?;
        pruned.batches += step.batches;
        pruned.events += step.events;
        pruned.unheard += step.unheard;
        courier.metrics.events_removed.inc_by(step.unheard);
        if [step.batches, step.events, step.unheard].iter().all(|removed| *removed < u64::from(STEP)) {
            return Ok(pruned);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
