//! Makes batches searchable in small steps, so that the work does not wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::every::Every;
use super::pace::Pace;
use crate::guard::{Task, may_panic};
use crate::store::StoreError;
use crate::store::search::SearchRound;
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// How often it is checked whether anything is to be made searchable.
const PERIOD: Duration = Duration::from_secs(5);
/// After how many of these checks batches that are no longer kept are removed from the search.
const CHECKS_PER_ROUND: u64 = 120;

/// Keeps batches searchable until `stop`.
pub(in crate::worker) async fn keep_searchable(context: Arc<WorkerContext>, stop: CancellationToken) {
    let mut every = Every::new(PERIOD, stop);
    let (mut checks, mut pace) = (0_u64, Pace::small());
    while every.is_due().await {
        let filling = unit(&context, Task::Search, &"searchable batches", fill(&context, &mut pace));
        if let Some(Err(error)) = every.unless_stopped(filling).await {
            tracing::warn!(%error, "batches cannot be made searchable");
        }
        if checks.is_multiple_of(CHECKS_PER_ROUND) {
            let pruning = unit(&context, Task::Search, &"rows of the search", prune(&context));
            if let Some(Err(error)) = every.unless_stopped(pruning).await {
                tracing::warn!(%error, "batches that are no longer kept cannot be removed from the search");
            }
        }
        checks += 1;
    }
}

/// Makes batches searchable step by step until none is left.
async fn fill(context: &WorkerContext, pace: &mut Pace) -> Result<(), StoreError> {
    may_panic("search", &"searchable batches");
    loop {
        let began = Instant::now();
        let step = context.store.fill_search(&context.holder, pace.most).await?;
        if step.read == 0 || !step.is_more {
            return Ok(());
        }
        let took = began.elapsed();
        *pace = pace.after(took);
        tokio::time::sleep(Pace::long_pause(took)).await;
    }
}

/// Removes step by step what is no longer kept.
async fn prune(context: &WorkerContext) -> Result<(), StoreError> {
    let (mut round, mut pace) = (SearchRound::new(context.config.store.retention), Pace::small());
    while !round.is_done() {
        let began = Instant::now();
        context.store.prune_search(&mut round, pace.most).await?;
        let took = began.elapsed();
        pace = pace.after(took);
        tokio::time::sleep(Pace::pause(took)).await;
    }
    Ok(())
}
