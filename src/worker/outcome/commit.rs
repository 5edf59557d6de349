//! Stores a change and hands its events to the outbox relay.

use std::sync::Arc;
use std::time::Duration;

use crate::store::StoreError;
use crate::store::ledger::{Commit, CommitOutcome, RecordUpdate};
use crate::worker::context::WorkerContext;
use crate::worker::model::ActiveBatch;
use crate::worker::store_retry::patiently;

/// For how long only the worker that stored an event may publish it. After a crash the event waits for so long.
pub(in crate::worker) const OWNER_GRACE: Duration = Duration::from_secs(5);

/// Stores a change, for as long as the worker is patient with its store, and has its events published: those of a change
/// to a batch's record from memory, where the relay has room for them, all others from the store.
pub(in crate::worker) async fn commit(
    context: &WorkerContext,
    mut change: Commit,
) -> Result<CommitOutcome, StoreError> {
    let count = change.events.len();
    // Thousands of messages may be shelved at once that nothing was sent for. Their events must not delay outcomes.
    let is_urgent = count > 0 && change.batch.is_some();
    let room = if is_urgent { context.fresh_events.try_reserve_many(count).ok() } else { None };
    change.owner_grace = room.is_some().then_some(OWNER_GRACE);
    let change = Arc::new(change);
    let outcome = patiently(|| context.store.commit(Arc::clone(&change))).await?;
    match (room, &outcome) {
        (Some(room), CommitOutcome::Done(events)) => {
            room.zip(events).for_each(|(place, event)| place.send(event.clone()))
        }
        (None, CommitOutcome::Done(_)) if count > 0 => context.outbox_wanted.notify_one(),
        (_, CommitOutcome::Done(_) | CommitOutcome::Fenced) => {}
    }
    Ok(outcome)
}

/// Stores the batch's record together with a change.
pub(in crate::worker) async fn commit_record(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    mut change: Commit,
) -> Result<CommitOutcome, StoreError> {
    change.history.splice(0..0, batch.notes.iter().cloned());
    let update = RecordUpdate { record: batch.record.clone(), from_epoch: batch.stored_epoch };
    let outcome = commit(context, Commit { batch: Some(update), ..change }).await?;
    if outcome.is_done() {
        batch.stored_epoch = batch.record.epoch;
        batch.notes.clear();
    }
    Ok(outcome)
}
