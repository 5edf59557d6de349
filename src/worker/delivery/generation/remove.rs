//! Retires or deletes cases: claims them, sends as few requests as possible, and records the outcome of each.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::super::state::Delivery;
use super::request::{RequestEnd, send_request};
use super::window::Window;
use super::write::{PageEnd, after_late, millis};
use crate::batch::generation::{Change as Fields, Removal, request_key};
use crate::batch::ledger::{DropChange, DroppedCase};
use crate::batch::undo::{Former, FormerCase};
use crate::batch::verdict::answer::FieldRefusal;
use crate::batch::written::{CaseIdentity, WrittenCase};
use crate::store::StoreError;
use crate::store::ledger::{Commit, WindowStep};
use crate::testmo::{MOST_UPDATED, ShownCase, WINDOW, update_body};
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{ActiveBatch, GoneCase, NextStep, Progress, PushFeedback};
use crate::worker::outcome::commit::commit_record;

/// What was decided of the cases of a page, each with its row.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    /// Cases with which nothing more is done.
    pub(super) done: Vec<(GoneCase, DropChange, Map<String, Value>)>,
    /// Cases of which fields are written.
    pub(super) writes: Vec<(GoneCase, Fields, Map<String, Value>)>,
    /// Cases that are deleted.
    pub(super) deletes: Vec<(GoneCase, Map<String, Value>)>,
}

/// One request: the cases in it, and what is written of them; `None` deletes them.
struct Request {
    cases: Vec<GoneCase>,
    fields: Option<Fields>,
}

/// What became of requests.
#[derive(Default)]
struct Removed {
    entries: Vec<DroppedCase>,
    written: Vec<WrittenCase>,
    forgotten: Vec<(CaseIdentity, u64)>,
    /// Ids of cases with which nothing was done.
    left: Vec<u64>,
    is_unclear: bool,
    /// What Testmo answered.
    shown: Vec<ShownCase>,
}

/// Claims the cases of a page, retires or deletes them, and records what became of each.
pub(super) async fn remove(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    claimed: Claimed,
    read_at: Instant,
    feedback: &mut PushFeedback,
) -> Result<PageEnd, StoreError> {
    let context = &delivery.context;
    if claimed.done.is_empty() && claimed.writes.is_empty() && claimed.deletes.is_empty() {
        return Ok(PageEnd { next: NextStep::NextTurn, is_page_done: true });
    }
    let lease = context.config.testmo.lease() + WINDOW;
    let change = claim(batch, &claimed, lease);
    let retired = claimed.writes.iter().map(|(gone, fields, shown)| (gone.known.previous.id, fields, shown));
    let mut window = Window::open(batch, retired);
    let change = Commit { window: window.begin(batch), ..change };
    if !commit_record(context, batch, change).await?.is_done() {
        return Ok(PageEnd { next: NextStep::Refresh, is_page_done: false });
    }
    failpoint::after(Failpoint::UpdateClaim);
    count_dropped(context, claimed.done.iter().map(|(_, change, _)| *change));
    let requests = requests(claimed, progress.resend.is_apart());
    if requests.is_empty() {
        return Ok(PageEnd { next: NextStep::NextTurn, is_page_done: true });
    }
    batch.written_until = context.store.now() + millis(lease);
    let (mut removed, mut next) = (Removed::default(), None);
    for request in requests {
        if next.is_none() {
            next = send(delivery, batch, progress, (&request, read_at), &mut removed, feedback).await?;
        } else {
            removed.left.extend(request.ids());
        }
    }
    let is_page_done = removed.left.is_empty() && !removed.is_unclear;
    window.answered(&removed.shown);
    let window = window.end(batch, |id| removed.is_not_written(id));
    let next = match store(context, batch, removed, window).await? {
        true => next.unwrap_or(NextStep::NextTurn),
        false => NextStep::Refresh,
    };
    Ok(PageEnd { next, is_page_done })
}

/// Records what is decided, and that the others are being retired or deleted.
fn claim(batch: &mut ActiveBatch, claimed: &Claimed, lease: Duration) -> Commit {
    let Claimed { done, writes, deletes } = claimed;
    let mut entries: Vec<DroppedCase> = done.iter().map(|(gone, change, _)| entry(gone, *change)).collect();
    let writing = writes.iter().map(|(gone, ..)| gone).chain(deletes.iter().map(|(gone, _)| gone));
    entries.extend(writing.map(|gone| entry(gone, DropChange::Writing)));
    batch.record.drops(entries);
    // A request whose outcome was unknown has been carried out: the case is as the mapping wants it.
    let retired = done.iter().filter(|(_, change, _)| *change == DropChange::Retired);
    let written = retired.flat_map(|(gone, _, shown)| remembered(gone, &retired_fields(batch, shown), shown)).collect();
    let is_claimed = !writes.is_empty() || !deletes.is_empty();
    let former = is_claimed.then(|| former(writes, deletes));
    Commit { former, lease: is_claimed.then_some(lease), written, ..Commit::default() }
}

/// Returns the columns by which cases are retired, as a row shows them.
fn retired_fields(batch: &ActiveBatch, shown: &Map<String, Value>) -> Map<String, Value> {
    let columns = batch.generation.removal.map(Removal::columns).unwrap_or_default();
    columns.into_iter().filter_map(|column| Some((column.to_owned(), shown.get(column)?.clone()))).collect()
}

/// Returns what Testmo showed: of cases that are retired the fields that change, and all of cases that are deleted.
fn former(writes: &[(GoneCase, Fields, Map<String, Value>)], deletes: &[(GoneCase, Map<String, Value>)]) -> Vec<u8> {
    let case = |gone: &GoneCase, fields: Map<String, Value>| FormerCase {
        id: gone.known.previous.id,
        fields,
        remembered: gone.known.fields.clone(),
        folder: gone.known.previous.folder,
        batch: gone.known.mark,
    };
    let retired = writes.iter().map(|(gone, fields, shown)| {
        let value = |column: &String| (column.clone(), shown.get(column).cloned().unwrap_or_default());
        case(gone, fields.fields.keys().map(value).collect())
    });
    let deleted = deletes.iter().map(|(gone, shown)| case(gone, shown.clone()));
    let cases: Vec<FormerCase> = retired.chain(deleted).collect();
    Former::write(cases.iter())
}

/// Returns the requests for some cases: those that get the same values go together, unless `is_apart`.
fn requests(claimed: Claimed, is_apart: bool) -> Vec<Request> {
    let mut groups: BTreeMap<(usize, String), (Fields, Vec<GoneCase>)> = BTreeMap::new();
    for (at, (gone, fields, shown)) in claimed.writes.into_iter().enumerate() {
        let key = (if is_apart { at } else { 0 }, request_key(&fields, &shown));
        groups.entry(key).or_insert_with(|| (fields, Vec::new())).1.push(gone);
    }
    let most = if is_apart { 1 } else { MOST_UPDATED };
    let deletes: Vec<GoneCase> = claimed.deletes.into_iter().map(|(gone, _)| gone).collect();
    let deletes = deletes.chunks(most).map(|cases| Request { cases: cases.to_vec(), fields: None });
    let mut requests: Vec<Request> = deletes.collect();
    for (fields, cases) in groups.into_values() {
        let part = |cases: &[GoneCase]| Request { cases: cases.to_vec(), fields: Some(fields.clone()) };
        requests.extend(cases.chunks(MOST_UPDATED).map(part));
    }
    requests
}

/// Sends one request; returns what follows if no further one may be sent.
async fn send(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    (request, read_at): (&Request, Instant),
    removed: &mut Removed,
    feedback: &mut PushFeedback,
) -> Result<Option<NextStep>, StoreError> {
    let ids: Vec<u64> = request.ids().collect();
    let body = request.fields.as_ref().map(|fields| update_body(&ids, fields.fields.iter().chain(&fields.carried)));
    match send_request(delivery, batch, (&ids, read_at), body, feedback).await? {
        RequestEnd::Done(shown) => removed.take_in(batch, request, &shown),
        RequestEnd::Refused(said) => removed.refused(progress, request, &said),
        RequestEnd::NotDone(next) => {
            removed.left.extend(ids);
            return Ok(Some(next));
        }
        RequestEnd::Late => {
            let is_first = removed.entries.is_empty() && removed.left.is_empty();
            removed.left.extend(ids);
            return Ok(Some(after_late(is_first)));
        }
        RequestEnd::Unclear(next) => {
            removed.is_unclear = true;
            return Ok(Some(next));
        }
    }
    Ok(None)
}

impl Request {
    fn ids(&self) -> impl Iterator<Item = u64> {
        self.cases.iter().map(|gone| gone.known.previous.id)
    }
}

impl Removed {
    /// Takes in that a request was carried out; a retired case that the answer does not show is read again.
    fn take_in(&mut self, batch: &ActiveBatch, request: &Request, shown: &[ShownCase]) {
        for gone in &request.cases {
            if request.fields.is_none() {
                self.entries.push(entry(gone, DropChange::Deleted));
                let id = gone.known.previous.id;
                self.forgotten.extend(gone.identities.iter().map(|identity| (*identity, id)));
                continue;
            }
            let Some(row) = shown.iter().find(|row| row.id == gone.known.previous.id) else {
                self.is_unclear = true;
                continue;
            };
            self.written.extend(remembered(gone, &retired_fields(batch, &row.fields), &row.fields));
            self.shown.push(row.clone());
            let folder = row.number("folder_id").unwrap_or(gone.known.previous.folder);
            self.entries.push(DroppedCase { folder, ..entry(gone, DropChange::Retired) });
        }
    }

    /// Returns whether nothing was done with a case.
    fn is_not_written(&self, id: u64) -> bool {
        let refused = |entry: &DroppedCase| entry.id == id && entry.change == DropChange::Refused;
        self.left.contains(&id) || self.entries.iter().any(refused)
    }

    /// Takes in that Testmo refused a request. A deletion has no fields that it could ask for.
    fn refused(&mut self, progress: &mut Progress, request: &Request, said: &[FieldRefusal]) {
        let is_sent = |field: &str| {
            let sent = request.fields.as_ref();
            sent.is_none_or(|sent| sent.fields.contains_key(field) || sent.carried.contains_key(field))
        };
        let ids: Vec<u64> = request.ids().collect();
        if progress.resend.after(said, is_sent, &ids) {
            self.left.extend(ids);
        } else {
            self.entries.extend(request.cases.iter().map(|gone| entry(gone, DropChange::Refused)));
        }
    }
}

/// Returns what is remembered of a case after these fields of it were written.
fn remembered(gone: &GoneCase, fields: &Map<String, Value>, shown: &Map<String, Value>) -> Vec<WrittenCase> {
    let known = &gone.known;
    let case = |identity: &CaseIdentity| WrittenCase {
        identity: *identity,
        testmo_id: known.previous.id,
        folder: shown.get("folder_id").and_then(Value::as_u64).unwrap_or(known.previous.folder),
        batch: known.mark,
        fields: known.fields.with(fields, shown),
    };
    gone.identities.iter().map(case).collect()
}

/// Records what became of requests; returns whether that was stored.
async fn store(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    removed: Removed,
    window: Option<WindowStep>,
) -> Result<bool, StoreError> {
    let Removed { entries, written, forgotten, left, is_unclear, .. } = removed;
    let changes: Vec<DropChange> = entries.iter().map(|entry| entry.change).collect();
    batch.record.drops(entries);
    batch.record.not_dropped(&left);
    let settling = if is_unclear { context.config.testmo.reconcile_delay_unanswered } else { Duration::ZERO };
    batch.written_until = context.store.now() + millis(settling);
    let change = Commit { written, forgotten, window, lease: Some(settling), ..Commit::default() };
    if !commit_record(context, batch, change).await?.is_done() {
        return Ok(false);
    }
    if !changes.is_empty() {
        tracing::info!(batch = %batch.key.batch, trace_id = logged(batch.trace()), cases = changes.len(), "cases that are no longer generated were removed");
    }
    count_dropped(context, changes.into_iter());
    Ok(true)
}

/// Returns what is recorded of a case.
pub(super) fn entry(gone: &GoneCase, change: DropChange) -> DroppedCase {
    let previous = &gone.known.previous;
    DroppedCase { id: previous.id, folder: previous.folder, batch: previous.batch.clone(), change, target: None }
}

/// Counts cases by what was done with them.
pub(super) fn count_dropped(context: &WorkerContext, changes: impl Iterator<Item = DropChange>) {
    for change in changes.filter(|change| *change != DropChange::Writing) {
        context.metrics.dropped_cases.with_label_values(&[change.word()]).inc();
    }
}
