//! When does settled work lose its weight? In small steps, now and then, so that nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use crate::store::StoreError;

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
            pruned = prune_all(&courier) => match pruned {
                Ok((0, 0)) => {}
                Ok((batches, events)) => tracing::info!(batches, events, "old work pruned"),
                Err(error) => tracing::warn!(%error, "old work cannot be pruned"),
            }
        }
    }
}

/// Prunes step by step until nothing is left to prune, and tells how many batches and events it were.
async fn prune_all(courier: &Courier) -> Result<(u64, u64), StoreError> {
    let (mut batches, mut events) = (0, 0);
    loop {
        let step = courier.store.prune(courier.config.store.retention, STEP).await?;
        (batches, events) = (batches + step.batches, events + step.events);
        if step.batches < u64::from(STEP) && step.events < u64::from(STEP) {
            return Ok((batches, events));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
