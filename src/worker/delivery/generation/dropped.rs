//! Decides the cases of its source that a batch does not have, page by page.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::state::Delivery;
use super::ends::{ended, still_written};
use super::gone::read_gone;
use super::page::{read_page, required, turn_page};
use super::remove::{Claimed, count_dropped, entry, remove};
use crate::batch::generation::{Gone, Removal, Row, decide_dropped};
use crate::batch::ledger::DropChange;
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::testmo::{ShownPage, Shows};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, GoneCase, NextStep, Progress, PushFeedback};
use crate::worker::outcome::commit::commit_record;

/// Takes the next step with cases that the batch does not have: at most one page of a list is read, and its cases are retired
/// or deleted.
pub(super) async fn advance_dropped(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    feedback: &mut PushFeedback,
) -> Result<NextStep, StoreError> {
    let context = &delivery.context;
    let Some(removal) = batch.generation.removal.filter(|_| progress.is_latest) else { return Ok(ended(batch)) };
    if progress.gone.is_none() {
        read_gone(context, batch, progress, removal).await?;
    }
    if let Some(wait) = still_written(context, batch) {
        return Ok(NextStep::Pause(wait));
    }
    let pending = pending(batch, progress);
    let is_read = removal != Removal::Leave && !pending.is_empty();
    let Some(list) = progress.lists.front().cloned().filter(|_| is_read) else {
        return unread(context, batch, &pending, removal).await;
    };
    let shows = if removal == Removal::Delete { Shows::Uses } else { Shows::Edits };
    let (page, read_at) = match read_page(delivery, batch, progress, &list, shows, feedback).await? {
        Ok(read) => read,
        Err(next) => return Ok(next),
    };
    let claimed = decided(batch, progress, removal, &pending, &page);
    let lowest = pending.keys().next().copied().unwrap_or(0);
    let end = remove(delivery, batch, progress, claimed, read_at, feedback).await?;
    if end.is_page_done {
        turn_page(progress, &page, lowest);
    }
    Ok(end.next)
}

/// Returns the cases that are not decided yet.
fn pending(batch: &ActiveBatch, progress: &Progress) -> BTreeMap<u64, GoneCase> {
    let decided: HashMap<u64, DropChange> =
        batch.record.dropped_at(batch.account()).map(|case| (case.id, case.change)).collect();
    let is_open = |id: u64| decided.get(&id).is_none_or(|change| *change == DropChange::Writing);
    let gone = progress.gone.iter().flatten();
    gone.filter(|(id, _)| is_open(**id)).map(|(id, gone)| (*id, gone.clone())).collect()
}

/// Decides the cases that a page shows.
fn decided(
    batch: &ActiveBatch,
    progress: &Progress,
    removal: Removal,
    pending: &BTreeMap<u64, GoneCase>,
    page: &ShownPage,
) -> Claimed {
    let mut claimed = Claimed::default();
    let removing: HashSet<u64> = batch.record.removing().collect();
    for row in &page.cases {
        let Some(gone) = pending.get(&row.id) else { continue };
        let shown = row.known_fields();
        let is_writing = removing.contains(&row.id);
        let known = &gone.known;
        let of_row = Row { written: &known.fields, tag: known.tag.as_deref(), shown: &shown };
        match decide_dropped(&of_row, removal, is_writing, required(batch, progress, &shown)) {
            Gone::Done(change) => claimed.done.push((gone.clone(), change, shown)),
            Gone::Write(fields) => claimed.writes.push((gone.clone(), *fields, shown)),
            Gone::Delete => claimed.deletes.push((gone.clone(), shown)),
        }
    }
    claimed
}

/// Records what was not read: it is left, as the mapping says so, or it is not found in any list.
async fn unread(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    pending: &BTreeMap<u64, GoneCase>,
    removal: Removal,
) -> Result<NextStep, StoreError> {
    let change = if removal == Removal::Leave { DropChange::Left } else { DropChange::NotFound };
    if !pending.is_empty() {
        batch.record.drops(pending.values().map(|gone| entry(gone, change)));
        if !commit_record(context, batch, Commit::default()).await?.is_done() {
            return Ok(NextStep::Refresh);
        }
        count_dropped(context, pending.values().map(|_| change));
    }
    Ok(ended(batch))
}
