//! Decides each case of a batch that an earlier batch wrote, and then those of its source that it does not have, before the
//! others are created: with the source of the cases to itself, and by what Testmo shows of them.

mod dropped;
mod ends;
mod gone;
mod known;
mod page;
mod remove;
mod replaced;
mod request;
mod window;
mod write;

use self::dropped::advance_dropped;
use self::ends::{count, done, ended, release_unknown, wait_for};
use self::known::{read_known, taken_over};
use self::page::advance_page;
use self::replaced::find_replaced;
use super::look_up::store_first;
use super::state::Delivery;
use crate::batch::Reason;
use crate::batch::ledger::{BatchState, Change, PreviousCase, Repeat};
use crate::batch::message::OnRepeat;
use crate::batch::written::WrittenCase;
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::store::written::{SourceClaim, SourceOutcome};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, KnownCase, NextStep, Progress, PushFeedback};
use crate::worker::outcome::commit::commit_record;
use crate::worker::outcome::finish::finish;

/// Takes the next step with the cases that earlier batches wrote: at most one page of a list is read, and fields of its cases
/// are written.
pub(super) async fn advance(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    feedback: &mut PushFeedback,
) -> Result<NextStep, StoreError> {
    let context = &delivery.context;
    // It is not done while the outcome of a request is unknown, whatever the mapping says by now.
    batch.generation.is_done &= batch.record.writing().next().is_none();
    if let Some(next) = find_replaced(context, batch).await? {
        return Ok(next);
    }
    let sources = batch.sources();
    if sources.is_empty() {
        return Ok(release_unknown(context, batch, None).await?.unwrap_or_else(|| ended(batch)));
    }
    if batch.stored_epoch == 0 && !store_first(context, batch).await? {
        return Ok(NextStep::Refresh);
    }
    if !goes_on(context, batch).await? {
        // A worker with an outdated connection would send the batch back to where that leads, again and again.
        context.tenants.forget(&batch.key.batch.tenant);
        return Ok(NextStep::ResolveAgain);
    }
    // Taken out: where something fails, everything is found out again.
    let mut progress = std::mem::take(&mut batch.generation.progress);
    if progress.known.is_none() {
        let generated_at = batch.generation.generated_at;
        let claim = SourceClaim { sources, batch: batch.key.batch.clone(), generated_at: Some(generated_at) };
        let latest_at = match context.store.claim_sources(&claim).await? {
            SourceOutcome::Granted { latest_at } => latest_at,
            SourceOutcome::Busy(other) => return Ok(wait_for(batch, &other)),
            SourceOutcome::Superseded(_) => return supersede(context, batch).await,
        };
        progress.is_latest = latest_at.is_none_or(|latest_at| generated_at > latest_at);
        read_known(context, batch, &mut progress, latest_at).await?;
        if let Some(next) = conclude_known(context, batch, &progress).await? {
            return Ok(next);
        }
    }
    let next = match batch.generation.is_own_done {
        false => advance_page(delivery, batch, &mut progress, feedback).await?,
        true => advance_dropped(delivery, batch, &mut progress, feedback).await?,
    };
    if !batch.generation.is_done {
        batch.generation.progress = progress;
    }
    Ok(next)
}

/// Stores that the cases that are not decided go where the connection leads now; returns whether that was done. While the outcome
/// of a request is unknown, they stay with the others: a person decides about all of them.
async fn goes_on(context: &WorkerContext, batch: &mut ActiveBatch) -> Result<bool, StoreError> {
    if batch.record.unclear_cases().next().is_some() {
        return Ok(true);
    }
    let present = batch.folders.targets(&batch.connection);
    let Some(targets) = present.filter(|targets| !batch.record.targets.ends_with(targets)) else { return Ok(true) };
    let places = batch.folders.places();
    batch.record.goes_on_to(|position| places.of_case(position), &targets);
    Ok(commit_record(context, batch, Commit::default()).await?.is_done())
}

/// Ends a batch of which a later generation was written.
async fn supersede(context: &WorkerContext, batch: &mut ActiveBatch) -> Result<NextStep, StoreError> {
    batch.generation.removal = None;
    let superseded = batch.record.undecided().filter(|position| batch.own_identity(*position).is_some());
    let superseded = superseded
        .map(|position| {
            let previous = batch.record.cases[position].previous.as_deref().cloned();
            (position, previous, Repeat::only(Change::Superseded))
        })
        .collect();
    record(context, batch, superseded, Vec::new()).await
}

/// Records what is decided of cases without reading anything more, and returns what follows then.
async fn record(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    repeats: Vec<(usize, Option<PreviousCase>, Repeat)>,
    written: Vec<WrittenCase>,
) -> Result<NextStep, StoreError> {
    if repeats.is_empty() {
        return Ok(done(batch));
    }
    let changes: Vec<Change> = repeats.iter().map(|(.., repeat)| repeat.change).collect();
    batch.record.repeats(repeats);
    if !commit_record(context, batch, Commit { written, ..Commit::default() }).await?.is_done() {
        return Ok(NextStep::Refresh);
    }
    count(context, changes.into_iter());
    Ok(done(batch))
}

/// Concludes what needs no reading: a batch that skips what exists, or that waits for a person because of it.
async fn conclude_known(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    progress: &Progress,
) -> Result<Option<NextStep>, StoreError> {
    let known = progress.known.iter().flatten();
    // A batch that has begun to update cases goes on with that.
    let is_updating = batch.record.writing().next().is_some();
    match if is_updating { OnRepeat::Update } else { batch.generation.mode } {
        OnRepeat::Update => Ok(None),
        OnRepeat::Create => Ok(Some(done(batch))),
        OnRepeat::Skip => {
            let skip = |(position, known): (&usize, &KnownCase)| {
                (*position, Some(known.previous.clone()), Repeat::only(Change::Skipped))
            };
            let written = known.clone().flat_map(|(position, known)| taken_over(batch, *position, known)).collect();
            let skipped = known.map(skip).collect();
            record(context, batch, skipped, written).await.map(Some)
        }
        OnRepeat::Wait => {
            let Some((position, first)) = known.clone().next() else { return Ok(Some(done(batch))) };
            let (key, id, count) = (&batch.record.cases[*position].key, first.previous.id, known.count());
            batch.question = Some(match count {
                1 => format!("case {key} exists already, as case {id} in Testmo"),
                _ => format!("{count} cases exist already, such as {key}, as case {id} in Testmo"),
            });
            let reason = Some(Reason::ExistsAlready);
            let partly = batch.record.arrived().next().is_some();
            let state = if partly { BatchState::Partial } else { BatchState::Failed };
            let outcome = finish(context, batch, state, reason, Commit::default()).await?;
            Ok(Some(if outcome.is_done() { NextStep::Finished } else { NextStep::Refresh }))
        }
    }
}
