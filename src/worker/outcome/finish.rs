//! Stores a batch as finished, with its event, and counts it.

use crate::batch::Reason;
use crate::batch::event::{self, CaseInput, EventInput};
use crate::batch::ledger::{BatchRecord, BatchState, CaseState};
use crate::store::StoreError;
use crate::store::ledger::{Commit, CommitOutcome, RecordUpdate};
use crate::store::shelf::{ShelvedUntil, Shelving};
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{ActiveBatch, NextStep};
use crate::worker::outcome::commit::commit;
use crate::worker::outcome::park::shelving;
use crate::worker::outcome::reasons::{reason_of_outcome, what_is_missing};
use crate::worker::outcome::span::Ended;
use crate::worker::outcome::timing::timing;

/// Stores a batch in a terminal state, together with a change; on return it is stored.
pub(in crate::worker) async fn finish(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    state: BatchState,
    reason: Option<Reason>,
    mut change: Commit,
) -> Result<CommitOutcome, StoreError> {
    let now = context.store.now();
    let mut record = batch.record.clone();
    record.settle(state, now);
    let detail = reason.and_then(|_| batch.question.take().or_else(|| what_is_missing(batch)));
    let places = batch.folders.places();
    let described = batch.cases.iter().zip(&batch.left_out).enumerate();
    let cases: Vec<CaseInput<'_>> = described
        .map(|(at, (case, left_out))| CaseInput { name: &case.name, path: places.own_path(at), left_out })
        .collect();
    let (source, now_of_event) = (&batch.source, context.clock.now());
    let input = EventInput {
        source,
        cases: &cases,
        now: now_of_event,
        reason,
        detail: detail.as_deref(),
        replay: batch.message.replay.map(|replay| replay.0),
    };
    change.events.extend(event::of_settlement(&record, &input));
    match reason {
        None => change.unshelve = batch.message.row(),
        Some(reason) => {
            change.unshelve = batch.message.nameless_row();
            change.shelve = Some(Shelving { detail, ..shelving(batch, reason, ShelvedUntil::Person) });
        }
    }
    change.history.splice(0..0, batch.notes.iter().cloned());
    if state == BatchState::Delivered || state == BatchState::Partial {
        change.success = Some(batch.key.batch.tenant.clone());
    }
    change.batch = Some(RecordUpdate { record, from_epoch: batch.stored_epoch });
    let outcome = commit(context, change).await?;
    if outcome.is_done() {
        failpoint::after(Failpoint::Settle);
        batch.record.settle(state, now);
        batch.stored_epoch = batch.record.epoch;
        batch.notes.clear();
        count_finished(context, batch, reason);
        Ended::of(batch).record(context, state, reason);
        if batch.message.replay.is_some() {
            context.replay_wanted.notify_one();
        }
    }
    Ok(outcome)
}

/// Finishes a batch each of whose cases has an outcome.
pub(in crate::worker) async fn finish_known(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
) -> Result<NextStep, StoreError> {
    let state = batch.record.outcome().unwrap_or(BatchState::Open);
    let reason = reason_of_outcome(batch, state);
    let outcome = finish(context, batch, state, reason, Commit::default()).await?;
    Ok(if outcome.is_done() { NextStep::Finished } else { NextStep::Refresh })
}

/// Counts the cases that were refused for their faults, with the first outcome of their batch.
pub(in crate::worker) fn count_invalid(context: &WorkerContext, record: &BatchRecord) {
    let invalid = record.cases.iter().filter(|case| record.is_first_outcome() && case.state.is_invalid()).count();
    context.metrics.cases.with_label_values(&["refused"]).inc_by(invalid as u64);
}

fn count_finished(context: &WorkerContext, batch: &ActiveBatch, reason: Option<Reason>) {
    let metrics = &context.metrics;
    let state = batch.record.state.name();
    metrics.batches.with_label_values(&[state]).inc();
    let cases = batch.record.cases.len();
    let lost = batch.record.cases.iter().filter(|case| case.state == CaseState::Lost).count();
    metrics.cases.with_label_values(&["unclear"]).inc_by(lost as u64);
    count_invalid(context, &batch.record);
    match reason {
        None => {
            tracing::info!(batch = %batch.key.batch, trace_id = logged(batch.trace()), cases, "batch delivered");
            let published = batch.message.published_at.unwrap_or(batch.message.arrived_at);
            let took = (context.clock.now() - published).max(0);
            metrics.delivered_batches.with_label_values(&[timing(took, batch.message.waited_for)]).inc();
            let took = u32::try_from(took).unwrap_or(u32::MAX);
            metrics.batch_delivery_duration_seconds.observe(f64::from(took) / 1_000.0);
        }
        Some(reason) => {
            tracing::warn!(batch = %batch.key.batch, trace_id = logged(batch.trace()), cases, state, %reason, "batch finished, not delivered completely");
            metrics.batches_shelved.with_label_values(&[reason.code()]).inc();
        }
    }
}
