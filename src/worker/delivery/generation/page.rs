//! Reads one page of a list, and decides each case of the batch that it shows.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::super::failure::call_failed;
use super::super::state::Delivery;
use super::ends::{count, done, release_unknown, still_written};
use super::known::taken_over;
use super::write::{Claimed, write};
use crate::batch::generation::{Decision, Later, Row, decide};
use crate::batch::ledger::{Change, PreviousCase, Repeat};
use crate::batch::verdict::after_failed_read;
use crate::batch::verdict::answer::ApiError;
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::testmo::{CasesOf, ShownPage, Shows};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, KnownCase, NextStep, Progress, PushFeedback};
use crate::worker::outcome::commit::commit_record;
use crate::worker::permit::check_rate_limit;

/// The most pages of one list.
const MOST_PAGES: u64 = 1_000;

/// Reads the next page, decides the cases that it shows, and writes fields of them; once nothing is left to be read, what was
/// not found is recorded.
pub(super) async fn advance_page(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    feedback: &mut PushFeedback,
) -> Result<NextStep, StoreError> {
    let context = &delivery.context;
    if let Some(wait) = still_written(context, batch) {
        return Ok(NextStep::Pause(wait));
    }
    let pending = pending(batch, progress);
    let Some(list) = progress.lists.front().cloned().filter(|_| !pending.is_empty()) else {
        return match release_unknown(context, batch, progress.known.as_ref()).await? {
            Some(next) => Ok(next),
            None => not_found(context, batch, pending).await,
        };
    };
    let (page, read_at) = match read_page(delivery, batch, progress, &list, Shows::Edits, feedback).await? {
        Ok(read) => read,
        Err(next) => return Ok(next),
    };
    let claimed = decided(batch, progress, &pending, &page);
    let lowest = pending.values().map(|known| known.previous.id).min().unwrap_or(0);
    let end = write(delivery, batch, progress, claimed, read_at, feedback).await?;
    if end.is_page_done {
        turn_page(progress, &page, lowest);
    }
    Ok(end.next)
}

/// Reads the present page of a list; returns when the answer arrived, or what follows if there is no page.
pub(super) async fn read_page(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    list: &CasesOf,
    shows: Shows,
    feedback: &mut PushFeedback,
) -> Result<Result<(ShownPage, Instant), NextStep>, StoreError> {
    let (context, connection) = (&delivery.context, batch.connection.clone());
    if let Some(next) = check_rate_limit(context, &connection.access, &connection.tenant, feedback).await? {
        return Ok(Err(next));
    }
    feedback.requests += 1;
    let query = list.query(progress.is_unsorted);
    let (access, project) = (&connection.access, connection.project);
    let shows = if progress.hides_history { shows.less().unwrap_or(shows) } else { shows };
    match context.client.shown_cases(access, project, shows, &query, progress.page).await {
        Ok(page) => Ok(Ok((page, Instant::now()))),
        // Histories are of use only afterwards.
        Err(ApiError::Invalid(_) | ApiError::Rejected { .. } | ApiError::Unreadable(_)) if shows.less().is_some() => {
            progress.hides_history = true;
            Ok(Err(NextStep::NextTurn))
        }
        Err(ApiError::Invalid(_) | ApiError::Rejected { .. }) if !progress.is_unsorted => {
            (progress.is_unsorted, progress.page) = (true, 1);
            Ok(Err(NextStep::NextTurn))
        }
        // A Testmo without the filter: its rows were sought in their folders.
        Err(ApiError::Invalid(_) | ApiError::Rejected { .. }) if matches!(list, CasesOf::Tags(_)) => {
            progress.next_list();
            Ok(Err(NextStep::NextTurn))
        }
        Err(error) => call_failed(context, batch, &error, after_failed_read(&error), feedback).await.map(Err),
    }
}

/// Returns the cases that an earlier batch wrote and that are not decided yet.
fn pending(batch: &ActiveBatch, progress: &Progress) -> BTreeMap<usize, KnownCase> {
    let known = progress.known.as_ref();
    batch.record.undecided().filter_map(|position| Some((position, known?.get(&position)?.clone()))).collect()
}

/// Goes on behind a page, unless nothing that is sought can follow.
pub(super) fn turn_page(progress: &mut Progress, page: &ShownPage, lowest: u64) {
    let is_past = !progress.is_unsorted && page.cases.last().is_some_and(|last| last.id < lowest);
    match page.next_page {
        Some(next) if !is_past && next <= MOST_PAGES => progress.page = next,
        Some(_) | None => progress.next_list(),
    }
}

/// Decides the cases that a page shows.
fn decided(
    batch: &ActiveBatch,
    progress: &Progress,
    pending: &BTreeMap<usize, KnownCase>,
    page: &ShownPage,
) -> Claimed {
    let positions: BTreeMap<u64, usize> =
        pending.iter().map(|(position, known)| (known.previous.id, *position)).collect();
    let mut claimed = Claimed::default();
    let tag = batch.batch_tag();
    for row in &page.cases {
        let Some(position) = positions.get(&row.id) else { continue };
        let (Some(known), Some(wanted)) = (pending.get(position), batch.wanted(*position)) else { continue };
        let shown = row.known_fields();
        let writing = batch.record.cases[*position].state.repeat().map(|repeat| repeat.written.as_slice());
        let required = required(batch, progress, &shown);
        let later = Later { wanted: &wanted, writing, tag: tag.as_deref() };
        let row = Row { written: &known.fields, tag: known.tag.as_deref(), shown: &shown };
        match decide(&row, &later, batch.generation.edits, required) {
            Decision::Done(repeat) => claimed.done.push((*position, known.clone(), repeat, shown)),
            Decision::Write(fields) => claimed.writes.push((*position, known.clone(), *fields, shown)),
        }
    }
    claimed
}

/// Returns the columns that every request for a case has to fill: those that the project lists as required and that the case
/// has, and those that Testmo asked for.
pub(super) fn required<'a>(
    batch: &'a ActiveBatch,
    progress: &'a Progress,
    shown: &'a Map<String, Value>,
) -> impl Iterator<Item = &'a str> {
    let listed = batch.connection.fields.fields().filter(|field| field.known.required).map(|field| field.column);
    let listed = listed.filter(move |column| shown.contains_key(*column));
    listed.chain(progress.resend.asked_for())
}

/// Records that cases were not found. Nothing is created for them: a person may have deleted them.
async fn not_found(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    pending: BTreeMap<usize, KnownCase>,
) -> Result<NextStep, StoreError> {
    let written = pending.iter().flat_map(|(position, known)| taken_over(batch, *position, known)).collect();
    let missing: Vec<(usize, Option<PreviousCase>, Repeat)> = pending
        .into_iter()
        .map(|(position, known)| (position, Some(known.previous), Repeat::only(Change::NotFound)))
        .collect();
    let changes = vec![Change::NotFound; missing.len()];
    if !missing.is_empty() {
        batch.record.repeats(missing);
    }
    let change = Commit { written, ..Commit::default() };
    if batch.record.epoch != batch.stored_epoch && !commit_record(context, batch, change).await?.is_done() {
        return Ok(NextStep::Refresh);
    }
    count(context, changes.into_iter());
    Ok(done(batch))
}
