//! Ends a part of the work on cases that earlier batches wrote, or has it wait.

use std::time::Duration;

use crate::batch::ledger::Change;
use crate::batch::{BatchKey, Reason};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, NextStep};

/// For how long a batch waits in memory for an earlier one of the same source.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// How long it waits before it asks again.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// Ends the work on the batch's own cases; those of its source follow that it does not have.
pub(super) fn done(batch: &mut ActiveBatch) -> NextStep {
    batch.generation.is_own_done = true;
    batch.generation.is_done = batch.generation.removal.is_none();
    NextStep::NextTurn
}

/// Ends the work on everything that concerns earlier batches.
pub(super) fn ended(batch: &mut ActiveBatch) -> NextStep {
    (batch.generation.is_own_done, batch.generation.is_done) = (true, true);
    NextStep::NextTurn
}

/// Waits until an earlier batch of the source is finished: in memory, as that is usually soon, and else on the shelf.
pub(super) fn wait_for(batch: &ActiveBatch, other: &BatchKey) -> NextStep {
    if batch.in_hand_since.elapsed() < PATIENCE {
        return NextStep::Pause(PAUSE);
    }
    let other = other.batch.as_str();
    let detail = format!("batch {other} of the same source is not finished, or waits for a person");
    NextStep::Defer(Reason::EarlierGeneration, Some(detail), Duration::ZERO)
}

/// Counts cases by what was done with them.
pub(super) fn count(context: &WorkerContext, changes: impl Iterator<Item = Change>) {
    for change in changes.filter(|change| *change != Change::Writing) {
        context.metrics.cases.with_label_values(&[change.word()]).inc();
    }
}
