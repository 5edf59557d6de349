//! Ends a part of the work on cases that earlier batches wrote, or has it wait.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::batch::ledger::Change;
use crate::batch::{BatchKey, Reason};
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, KnownCase, NextStep};
use crate::worker::outcome::commit::commit_record;

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

/// Returns how long to wait until no request that writes fields of a case can still be carried out.
pub(super) fn still_written(context: &WorkerContext, batch: &ActiveBatch) -> Option<Duration> {
    let left = batch.written_until - context.store.now();
    (batch.record.is_writing() && left > 0).then(|| Duration::from_millis(u64::try_from(left).unwrap_or(0)))
}

/// Has cases created of which a request of unknown outcome wrote the fields, but of which nothing is remembered any more: what
/// they stood for was taken back or forgotten meanwhile. Returns what follows if there are any.
pub(super) async fn release_unknown(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    known: Option<&BTreeMap<usize, KnownCase>>,
) -> Result<Option<NextStep>, StoreError> {
    if let Some(wait) = still_written(context, batch) {
        return Ok(Some(NextStep::Pause(wait)));
    }
    let is_known = |position: &usize| known.is_some_and(|known| known.contains_key(position));
    let unknown: Vec<usize> = batch.record.writing().filter(|position| !is_known(position)).collect();
    if unknown.is_empty() {
        return Ok(None);
    }
    batch.record.not_written(&unknown);
    let is_stored = commit_record(context, batch, Commit::default()).await?.is_done();
    Ok(Some(if is_stored { NextStep::NextTurn } else { NextStep::Refresh }))
}

/// Counts cases by what was done with them.
pub(super) fn count(context: &WorkerContext, changes: impl Iterator<Item = Change>) {
    for change in changes.filter(|change| *change != Change::Writing) {
        context.metrics.cases.with_label_values(&[change.word()]).inc();
    }
}
