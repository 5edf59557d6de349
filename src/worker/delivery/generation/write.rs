//! Writes fields of cases that exist: claims them, sends as few requests as possible, and records the outcome of each.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::super::state::Delivery;
use super::ends::count;
use super::known::taken_over;
use super::request::{RequestEnd, send_request};
use super::window::Window;
use crate::batch::Reason;
use crate::batch::generation::{Change as Fields, request_key, writing};
use crate::batch::ledger::{Change, PreviousCase, Refusal, Repeat};
use crate::batch::undo::{Former, FormerCase};
use crate::batch::verdict::answer::FieldRefusal;
use crate::batch::written::{BatchMark, Update, WrittenCase};
use crate::store::StoreError;
use crate::store::ledger::{Commit, WindowStep};
use crate::testmo::{MOST_UPDATED, ShownCase, WINDOW, update_body};
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{ActiveBatch, KnownCase, NextStep, Progress, PushFeedback};
use crate::worker::outcome::commit::commit_record;

/// How long is waited before a page is read again if no request could begin in time, as the store is slow.
const LATE: Duration = Duration::from_secs(1);

/// Returns what follows a request that would have begun too late after the page was read: the page is read again, at once unless
/// it was the first one.
pub(super) fn after_late(is_first: bool) -> NextStep {
    if is_first { NextStep::Pause(LATE) } else { NextStep::NextTurn }
}

/// What was decided of the cases of a page.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    /// Cases of which nothing is written, with their rows.
    pub(super) done: Vec<(usize, KnownCase, Repeat, Map<String, Value>)>,
    /// Cases of which fields are written, with their rows.
    pub(super) writes: Vec<(usize, KnownCase, Fields, Map<String, Value>)>,
}

/// What follows a page.
pub(super) struct PageEnd {
    pub(super) next: NextStep,
    /// Whether every case of the page is decided.
    pub(super) is_page_done: bool,
}

/// Cases that get the same fields in one request.
struct Group {
    /// Positions in [`Claimed::writes`].
    members: Vec<usize>,
    body: Map<String, Value>,
}

/// What became of requests.
#[derive(Default)]
struct Written {
    repeats: Vec<(usize, Option<PreviousCase>, Repeat)>,
    cases: Vec<WrittenCase>,
    /// Positions of cases of which nothing was written.
    left: Vec<usize>,
    refused: Vec<(usize, Refusal)>,
    is_unclear: bool,
    /// What Testmo answered.
    shown: Vec<ShownCase>,
}

/// Claims the cases of a page, writes them, and records what became of each.
pub(super) async fn write(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    claimed: Claimed,
    read_at: Instant,
    feedback: &mut PushFeedback,
) -> Result<PageEnd, StoreError> {
    let context = &delivery.context;
    let Claimed { done, writes } = claimed;
    if done.is_empty() && writes.is_empty() {
        return Ok(PageEnd { next: NextStep::NextTurn, is_page_done: true });
    }
    let lease = context.config.testmo.lease() + WINDOW;
    let change = claim(batch, &done, &writes, lease);
    let written_cases = writes.iter().map(|(_, known, fields, shown)| (known.previous.id, fields, shown));
    let window = Window::open(batch, written_cases);
    let change = Commit { window: window.begin(batch), ..change };
    if !commit_record(context, batch, change).await?.is_done() {
        return Ok(PageEnd { next: NextStep::Refresh, is_page_done: false });
    }
    failpoint::after(Failpoint::UpdateClaim);
    batch.written_until = context.store.now() + millis(lease);
    count(context, done.iter().map(|(.., repeat, _)| repeat.change));
    if writes.is_empty() {
        return Ok(PageEnd { next: NextStep::NextTurn, is_page_done: true });
    }
    let groups = groups(&writes, progress.resend.is_apart());
    let (mut written, mut next) = (Written::default(), None);
    for group in groups {
        if next.is_none() {
            next = send(delivery, batch, progress, &writes, (&group, read_at), &mut written, feedback).await?;
        } else {
            written.left.extend(group.members.iter().map(|at| writes[*at].0));
        }
    }
    let is_page_done = written.left.is_empty() && !written.is_unclear;
    let window = closed(batch, window, &writes, &written);
    let next = match store(context, batch, written, window).await? {
        true => next.unwrap_or(NextStep::NextTurn),
        false => NextStep::Refresh,
    };
    Ok(PageEnd { next, is_page_done })
}

/// Records what is decided, and that the others are being written.
fn claim(
    batch: &mut ActiveBatch,
    done: &[(usize, KnownCase, Repeat, Map<String, Value>)],
    writes: &[(usize, KnownCase, Fields, Map<String, Value>)],
    lease: Duration,
) -> Commit {
    let mut cases = Vec::new();
    let mut repeats = Vec::with_capacity(done.len() + writes.len());
    for (position, known, repeat, shown) in done {
        // A request whose outcome was unknown has been carried out.
        if repeat.change == Change::Updated {
            let kept = repeat.kept.iter().map(|kept| kept.column.clone()).collect();
            cases.extend(remembered(batch, *position, known, (&repeat.written, kept), shown));
        } else {
            cases.extend(taken_over(batch, *position, known));
        }
        repeats.push((*position, Some(known.previous.clone()), repeat.clone()));
    }
    let claimed = |(position, known, fields, _): &(usize, KnownCase, Fields, _)| {
        (*position, Some(known.previous.clone()), writing(fields, Change::Writing))
    };
    repeats.extend(writes.iter().map(claimed));
    batch.record.repeats(repeats);
    let (former, lease) = if writes.is_empty() { (None, None) } else { (Some(former(writes)), Some(lease)) };
    Commit { former, lease, written: cases, ..Commit::default() }
}

/// Returns what Testmo showed of the fields that are to be written, with what was remembered of the cases, compressed.
fn former(writes: &[(usize, KnownCase, Fields, Map<String, Value>)]) -> Vec<u8> {
    let case = |(_, known, fields, shown): &(usize, KnownCase, Fields, Map<String, Value>)| {
        let value = |column: &String| (column.clone(), shown.get(column).cloned().unwrap_or_default());
        FormerCase {
            id: known.previous.id,
            fields: fields.fields.keys().map(value).collect(),
            remembered: known.fields.clone(),
            folder: known.previous.folder,
            batch: known.mark,
        }
    };
    let cases: Vec<FormerCase> = writes.iter().map(case).collect();
    Former::write(cases.iter())
}

/// Returns the requests for some cases: those that get the same values go together, unless `is_apart`.
fn groups(writes: &[(usize, KnownCase, Fields, Map<String, Value>)], is_apart: bool) -> Vec<Group> {
    let mut groups: BTreeMap<(usize, String), Group> = BTreeMap::new();
    for (at, (.., fields, shown)) in writes.iter().enumerate() {
        let body: Map<String, Value> = fields
            .fields
            .iter()
            .chain(&fields.carried)
            .map(|(column, value)| (column.clone(), value.clone()))
            .collect();
        let apart = if is_apart { at } else { 0 };
        groups
            .entry((apart, request_key(fields, shown)))
            .or_insert_with(|| Group { members: Vec::new(), body })
            .members
            .push(at);
    }
    let split = |group: Group| {
        let Group { members, body } = group;
        let chunks: Vec<Vec<usize>> = members.chunks(MOST_UPDATED).map(<[usize]>::to_vec).collect();
        chunks.into_iter().map(move |members| Group { members, body: body.clone() })
    };
    groups.into_values().flat_map(split).collect()
}

/// Sends one request; returns what follows if no further one may be sent.
async fn send(
    delivery: &Delivery,
    batch: &mut ActiveBatch,
    progress: &mut Progress,
    writes: &[(usize, KnownCase, Fields, Map<String, Value>)],
    (group, read_at): (&Group, Instant),
    written: &mut Written,
    feedback: &mut PushFeedback,
) -> Result<Option<NextStep>, StoreError> {
    let ids: Vec<u64> = group.members.iter().map(|at| writes[*at].1.previous.id).collect();
    let body = update_body(&ids, group.body.iter());
    match send_request(delivery, batch, (&ids, read_at), Some(body), feedback).await? {
        RequestEnd::Done(shown) => take_in(batch, writes, group, &shown, written),
        RequestEnd::Refused(said) => refused(progress, writes, (group, &ids), &said, written),
        RequestEnd::NotDone(next) => {
            written.left.extend(group.members.iter().map(|at| writes[*at].0));
            return Ok(Some(next));
        }
        RequestEnd::Late => {
            let is_first = written.repeats.is_empty() && written.refused.is_empty() && written.left.is_empty();
            written.left.extend(group.members.iter().map(|at| writes[*at].0));
            return Ok(Some(after_late(is_first)));
        }
        RequestEnd::Unclear(next) => {
            written.is_unclear = true;
            return Ok(Some(next));
        }
    }
    Ok(None)
}

/// Takes in that Testmo refused what was sent.
fn refused(
    progress: &mut Progress,
    writes: &[(usize, KnownCase, Fields, Map<String, Value>)],
    (group, ids): (&Group, &[u64]),
    said: &[FieldRefusal],
    written: &mut Written,
) {
    let positions = group.members.iter().map(|at| writes[*at].0);
    if progress.resend.after(said, |field| group.body.contains_key(field), ids) {
        written.left.extend(positions);
    } else {
        let refusal = Refusal { reason: Reason::CaseRefused, said: said.to_vec() };
        written.refused.extend(positions.map(|position| (position, refusal.clone())));
    }
}

/// Takes in the cases that an answer shows; what it does not show is read again.
fn take_in(
    batch: &ActiveBatch,
    writes: &[(usize, KnownCase, Fields, Map<String, Value>)],
    group: &Group,
    shown: &[ShownCase],
    written: &mut Written,
) {
    for at in &group.members {
        let (position, known, fields, _) = &writes[*at];
        let Some(row) = shown.iter().find(|row| row.id == known.previous.id) else {
            written.is_unclear = true;
            continue;
        };
        written.shown.push(row.clone());
        let repeat = writing(fields, Change::Updated);
        let kept = fields.kept.iter().map(|kept| kept.column.clone()).collect();
        written.cases.extend(remembered(batch, *position, known, (&repeat.written, kept), &row.fields));
        written.repeats.push((*position, Some(known.previous.clone()), repeat));
    }
}

/// Returns what is remembered of a case, after the columns `written` were, and the columns `kept` were not.
fn remembered(
    batch: &ActiveBatch,
    position: usize,
    known: &KnownCase,
    (written, kept): (&[String], Vec<String>),
    shown: &Map<String, Value>,
) -> Vec<WrittenCase> {
    let Some(wanted) = batch.wanted(position) else { return Vec::new() };
    let update = Update { wanted: &wanted, written, kept: &kept, shown };
    let fields = known.fields.after(&update);
    let case = |identity| WrittenCase {
        identity,
        testmo_id: known.previous.id,
        folder: shown.get("folder_id").and_then(Value::as_u64).unwrap_or(known.previous.folder),
        batch: BatchMark::of(&batch.key.batch, batch.record.first_seen_at),
        fields: fields.clone(),
    };
    batch.own_identities(position).map(case).collect()
}

/// Returns what is kept of the cases until it is checked whether an edit was overwritten.
fn closed(
    batch: &ActiveBatch,
    mut window: Window,
    writes: &[(usize, KnownCase, Fields, Map<String, Value>)],
    written: &Written,
) -> Option<WindowStep> {
    window.answered(&written.shown);
    let refused = written.refused.iter().map(|(position, _)| position);
    let positions: HashSet<usize> = written.left.iter().chain(refused).copied().collect();
    let not_written = writes.iter().filter(|(position, ..)| positions.contains(position));
    let not_written: HashSet<u64> = not_written.map(|(_, known, ..)| known.previous.id).collect();
    window.end(batch, |id| not_written.contains(&id))
}

/// Records what became of requests; returns whether that was stored.
async fn store(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
    written: Written,
    window: Option<WindowStep>,
) -> Result<bool, StoreError> {
    let Written { repeats, cases, left, refused, is_unclear, .. } = written;
    let changes: Vec<Change> = repeats.iter().map(|(.., repeat)| repeat.change).collect();
    let count_refused = refused.len();
    let success = (!changes.is_empty()).then(|| batch.key.batch.tenant.clone());
    batch.record.repeats(repeats);
    batch.record.not_written(&left);
    for (position, refusal) in refused {
        batch.record.write_refused(position, refusal);
    }
    let settling = if is_unclear { context.config.testmo.reconcile_delay_unanswered } else { Duration::ZERO };
    batch.written_until = context.store.now() + millis(settling);
    let change = Commit { written: cases, success, window, lease: Some(settling), ..Commit::default() };
    if !commit_record(context, batch, change).await?.is_done() {
        return Ok(false);
    }
    if !changes.is_empty() {
        tracing::info!(batch = %batch.key.batch, trace_id = logged(batch.trace()), cases = changes.len(), "fields of cases were written");
    }
    count(context, changes.into_iter());
    context.metrics.cases.with_label_values(&["refused"]).inc_by(count_refused as u64);
    Ok(true)
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
