//! Matches the rows that Testmo lists with the cases of batches, and stores what is found.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::job::Part;
use super::written::{adopted, count_repeated};
use crate::batch::batch_tag;
use crate::batch::ledger::duplicates::duplicates;
use crate::batch::ledger::reconcile::{CLOCK_MARGIN_MS, Found, Row, Wanted, WantedCase, find};
use crate::batch::ledger::{BatchRecord, CaseState};
use crate::store::StoreError;
use crate::store::history::{Happening, HistoryEntry, MOST_CANDIDATES, Reconciliation};
use crate::store::ledger::{Commit, PushEnded};
use crate::testmo::CaseList;
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, NextStep};
use crate::worker::outcome::commit::commit_record;
use crate::worker::reconciliation::duplicates::{count_duplicates, note_duplicates};
use crate::worker::reconciliation::id_order::{IdOrder, note_disorder};

/// By how much times of creation and the header `Date` may be too early as they are cut to seconds, in milliseconds.
const ROUNDING_MS: i64 = 2_000;
/// By how much the offset of Testmo's clock may be too low: Testmo says its time in whole seconds.
const CLOCK_ROUNDING_MS: i64 = 1_000;

/// Which rows are cases of a batch.
pub(super) enum Rows {
    /// These, by position.
    Of(Vec<(usize, u64)>),
    /// Only a person can decide.
    Ask,
}

/// Finds out for each batch which of its cases exist. A row serves once, whichever batch it is for.
pub(super) async fn match_rows(
    context: &WorkerContext,
    mut there: Vec<&mut Part>,
    account: &str,
    list: &CaseList,
    order: &mut IdOrder,
) -> Result<(), StoreError> {
    let ids: Vec<u64> = list.rows.iter().map(|row| row.id).collect();
    let held = context.store.held_ids(account, &ids).await?;
    // A case of a batch of which none was created cannot have been copied: ids do not show which case is older.
    let is_contradicted = |part: &&mut Part| {
        let batch = &part.batch;
        let has_arrived = batch.record.arrived().next().is_some();
        !has_arrived && !search(batch, &unclear(batch), account, list, &held).older.is_empty()
    };
    if there.iter().any(is_contradicted) {
        note_disorder(context, account).await?;
        order.disordered = true;
        there.iter_mut().for_each(|part| order.apply(&mut part.batch.record));
    }
    let again = given_again(context, &there, account, list, &held).await?;
    let mut matching = Matching { context, account, list, order: *order, held, again, carried_out: BTreeMap::new() };
    for part in there {
        if !matching.match_batch(&mut part.batch).await? {
            part.next = Some(NextStep::Refresh);
        }
    }
    Ok(())
}

/// What is known while the rows of one list are matched.
struct Matching<'a> {
    context: &'a WorkerContext,
    account: &'a str,
    list: &'a CaseList,
    order: IdOrder,
    /// Ids that stand for a case already.
    held: HashSet<u64>,
    /// Ids among them that Testmo has given again since.
    again: HashSet<u64>,
    /// Whether each push is known to have created cases.
    carried_out: BTreeMap<String, bool>,
}

impl Matching<'_> {
    /// Matches the rows with one batch, and returns whether its record was stored; if not, another worker or a person
    /// has changed it.
    async fn match_batch(&mut self, batch: &mut ActiveBatch) -> Result<bool, StoreError> {
        let Self { context, account, list, order, .. } = *self;
        // A row that is known as a duplicate, or as a case of an earlier batch, never stands for another case.
        let record = &batch.record;
        self.held.extend(record.known_duplicates_at(account).chain(record.known_ids_at(account)));
        let push = batch.record.open_push.as_ref().map(|push| push.id.clone());
        let known = self.is_carried_out(push.as_deref()).await?;
        let (unknown, lost_before) = (batch.record.unclear_cases().count(), lost(&batch.record));
        let pushed_tag = batch.record.open_push.as_ref().map(|push| push.batch_tag.clone());
        let Rows::Of(found) = found(batch, &unclear(batch), account, list, (&mut self.held, &self.again), order) else {
            batch.record.give_up_unclear();
            let history = vec![reconciled(context, &batch.candidates, unknown, 0, unknown)];
            if !commit_record(context, batch, Commit { history, ..Commit::default() }).await?.is_done() {
                // Another worker may have recorded the rows for a push that it has sent since.
                return Ok(false);
            }
            self.carried_out.extend(push.map(|push| (push, true)));
            return Ok(true);
        };
        let ids = span(found.iter().map(|(_, id)| *id));
        let of_push = found.iter().any(|(at, _)| batch.record.cases[*at].state == CaseState::Claimed);
        // Cases of an earlier push say nothing about the open one, but are held nevertheless.
        let came_of = match &push {
            Some(push) if of_push => Some(push.clone()),
            _ if ids.is_none() => None,
            other => context.store.last_push(&batch.key.batch, account, other.as_deref()).await?,
        };
        let ended = came_of.zip(ids).map(|(push, ids)| PushEnded {
            push,
            answer: "adopted".into(),
            detail: None,
            ids: Some(ids),
        });
        batch.record.reconciled(&found, known);
        let lost = lost(&batch.record).saturating_sub(lost_before);
        let history = vec![reconciled(context, &batch.candidates, unknown, found.len(), lost)];
        let batch_tag = batch_tag_of(batch, &pushed_tag);
        let twice =
            note_duplicates(context, &mut batch.record, (account, batch_tag.as_deref()), &self.held, &list.rows);
        let (events, twice) = twice.map_or((Vec::new(), 0), |(event, count)| (vec![event], count));
        let written = adopted(batch, &found);
        let change = Commit { ended, events, written, history, ..Commit::default() };
        if !commit_record(context, batch, change).await?.is_done() {
            // The rows may belong to a push that another worker has sent since.
            return Ok(false);
        }
        if let Some(push) = push {
            self.carried_out.insert(push, known || of_push);
        }
        count_duplicates(context, &batch.key.batch, batch.trace(), twice);
        count_repeated(context, batch, found.iter().map(|(at, _)| *at));
        context.metrics.cases.with_label_values(&["adopted"]).inc_by(found.len() as u64);
        Ok(true)
    }

    /// Returns whether a push is known to have created cases.
    async fn is_carried_out(&self, push: Option<&str>) -> Result<bool, StoreError> {
        let Some(push) = push else { return Ok(false) };
        match self.carried_out.get(push) {
            Some(known) => Ok(*known),
            None => was_carried_out(self.context, (push, self.account), &self.list.rows, &self.held, self.order).await,
        }
    }
}

/// Returns what a reconciliation found for the cases of a batch whose outcome was unknown.
fn reconciled(
    context: &WorkerContext,
    candidates: &[u64],
    unknown: usize,
    adopted: usize,
    lost: usize,
) -> HistoryEntry {
    let count = |cases: usize| u32::try_from(cases).unwrap_or(u32::MAX);
    let (unknown, adopted, lost) = (count(unknown), count(adopted), count(lost));
    let candidates = candidates.iter().copied().take(MOST_CANDIDATES).collect();
    let found = Reconciliation { unknown, adopted, lost, candidates, elsewhere: false };
    HistoryEntry::once(Happening::Reconciled(found), context.store.now(), None)
}

fn lost(record: &BatchRecord) -> usize {
    record.cases.iter().filter(|case| case.state == CaseState::Lost).count()
}

/// Returns the positions of the cases whose outcome is unknown.
fn unclear(batch: &ActiveBatch) -> Vec<usize> {
    batch.record.unclear_cases().collect()
}

/// Returns the rows that are these cases of a batch. Where ids do not show which case is older, a row with the batch tag can
/// be a person's copy of an older case, so only a person can decide.
///
/// The same holds where Testmo has given an id to two cases: a row with the batch tag stands for a case of another batch; a row
/// with the name of one of these cases stands for another case of this batch and was created since; or it stands for a case that
/// another batch created earlier (`again`).
pub(super) fn found(
    batch: &mut ActiveBatch,
    cases: &[usize],
    account: &str,
    list: &CaseList,
    (held, again): (&mut HashSet<u64>, &HashSet<u64>),
    order: IdOrder,
) -> Rows {
    let batch_tag = tag_of(batch);
    let Found { cases: found, left_over, older } = search(batch, cases, account, list, held);
    let (unclear, adopted) = (cases.len(), found.len());
    tracing::info!(batch = %batch.key.batch, trace_id = logged(batch.trace()), unclear, adopted, ?left_over, ?older, "reconciled with Testmo");
    let record = &batch.record;
    let duplicates: HashSet<u64> = record.known_duplicates_at(account).collect();
    let known: HashMap<u64, usize> = record.known_at(account).map(|(position, id)| (id, position)).collect();
    let names: HashSet<&str> = cases.iter().map(|position| batch.cases[*position].name.trim()).collect();
    let has_batch_tag = |row: &Row| batch_tag.as_ref().is_some_and(|batch_tag| row.tags.contains(batch_tag));
    let is_given_twice = |row: &&Row| match known.get(&row.id) {
        Some(position) => {
            let name = row.name.trim();
            is_new(row, list) && names.contains(name) && batch.cases[*position].name.trim() != name
        }
        None if duplicates.contains(&row.id) => false,
        None => {
            held.contains(&row.id) && has_batch_tag(row) || again.contains(&row.id) && names.contains(row.name.trim())
        }
    };
    let twice: Vec<u64> = list.rows.iter().filter(is_given_twice).map(|row| row.id).collect();
    let is_unclear = order.disordered && batch_tag.is_some() && !(found.is_empty() && left_over.is_empty());
    let ids = found.iter().map(|(_, id)| *id);
    if is_unclear || !twice.is_empty() {
        batch.candidates = ids.chain(left_over).chain(twice).collect();
        return Rows::Ask;
    }
    held.extend(ids);
    batch.candidates = left_over.into_iter().chain(older).collect();
    Rows::Of(found)
}

/// Returns the ids of rows that stand for cases of requests that ended before the cases of unknown outcome were claimed, although
/// the rows were created since, and have the name of one of them. The batch tag says it where there is one.
async fn given_again(
    context: &WorkerContext,
    there: &[&mut Part],
    account: &str,
    list: &CaseList,
    held: &HashSet<u64>,
) -> Result<HashSet<u64>, StoreError> {
    let untagged = || there.iter().map(|part| &part.batch).filter(|batch| tag_of(batch).is_none());
    let Some(since) = untagged().map(|batch| batch.unclear_since()).min() else {
        return Ok(HashSet::new());
    };
    let names: HashSet<&str> =
        untagged().flat_map(|batch| unclear(batch).into_iter().map(|at| batch.cases[at].name.trim())).collect();
    let may_be = |row: &&Row| held.contains(&row.id) && is_new(row, list) && names.contains(row.name.trim());
    let ids: Vec<u64> = list.rows.iter().filter(may_be).map(|row| row.id).collect();
    // A row of a push that ended later than that may seem to be created since.
    context.store.ids_given_before(account, &ids, since - ROUNDING_MS - CLOCK_ROUNDING_MS).await
}

/// Returns whether a row was created since the cases of unknown outcome were claimed. A person may also have given the name of
/// one of them to the case that has had this id all along.
fn is_new(row: &Row, list: &CaseList) -> bool {
    row.created_at >= list.since + CLOCK_MARGIN_MS - ROUNDING_MS
}

/// Searches the rows for these cases of a batch.
pub(super) fn search(
    batch: &ActiveBatch,
    cases: &[usize],
    account: &str,
    list: &CaseList,
    held: &HashSet<u64>,
) -> Found {
    let batch_tag = tag_of(batch);
    let wanted = |position: usize| {
        let (name, folder) = (batch.cases[position].name.as_str(), batch.present_target(position)?.folder);
        Some(WantedCase { position, name, folder })
    };
    let cases: Vec<WantedCase<'_>> = cases.iter().copied().filter_map(wanted).collect();
    let arrived: Vec<(usize, u64)> = batch.record.arrived_at(account).collect();
    let wanted = Wanted {
        cases: &cases,
        arrived: &arrived,
        batch_tag: batch_tag.as_deref(),
        floor: batch.record.floor,
        not_before: list.since,
        held,
    };
    find(&wanted, &list.rows)
}

/// Returns whether a push is known to have created cases: by the ledger, or by a row of a batch that waits for nothing
/// but that. A row that stands for a case a second time came of another push, long after that was given up.
async fn was_carried_out(
    context: &WorkerContext,
    (push, account): (&str, &str),
    rows: &[Row],
    held: &HashSet<u64>,
    order: IdOrder,
) -> Result<bool, StoreError> {
    let mut members = context.store.push_members(push).await?;
    members.waiting.iter_mut().for_each(|record| order.apply(record));
    let came_of_it = |record: &BatchRecord| {
        let tag = batch_tag(&record.key);
        let late = duplicates(record, account, &tag, held, rows).into_iter().map(|(_, id)| id);
        let late: HashSet<u64> =
            late.chain(record.known_duplicates_at(account)).chain(record.known_ids_at(account)).collect();
        let is_old = |row: &Row| held.contains(&row.id) || late.contains(&row.id);
        let is_new = |row: &Row| record.may_have_created(row.id) && !is_old(row);
        rows.iter().any(|row| row.tags.contains(&tag) && is_new(row))
    };
    Ok(members.committed || members.waiting.iter().any(came_of_it))
}

/// Returns the tag of a batch's cases: that of its open push, if there is one.
pub(super) fn batch_tag_of(batch: &ActiveBatch, pushed: &Option<Option<String>>) -> Option<String> {
    pushed.clone().unwrap_or_else(|| batch.batch_tag())
}

/// Returns the tag of the cases that are searched for.
fn tag_of(batch: &ActiveBatch) -> Option<String> {
    batch_tag_of(batch, &batch.record.open_push.as_ref().map(|push| push.batch_tag.clone()))
}

/// Returns the lowest and the highest of some ids.
pub(super) fn span(ids: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    ids.fold(None, |span, id| Some(span.map_or((id, id), |(low, high): (u64, u64)| (low.min(id), high.max(id)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::{OpenPush, Target};
    use crate::worker::model::batch_of;

    const ACCOUNT: &str = "https://acme.testmo.net";

    #[test]
    fn an_id_of_another_batch_that_was_given_again_is_left_to_a_person() {
        for (name, again, is_asked) in [("case 2", true, true), ("case 2", false, false), ("another name", true, false)]
        {
            let mut batch = batch_of(2, |_| {});
            let push = OpenPush { id: "p".into(), connection: "v1".into(), batch_tag: None, committed: false };
            let target = Target { account: ACCOUNT.into(), project: 1, folder: 7 };
            batch.record.claim(&[1], push, &target);
            batch.record.unclear(CLOCK_MARGIN_MS);
            let row = Row { id: 10, name: name.into(), folder: 7, tags: vec![], created_at: CLOCK_MARGIN_MS };
            let list = CaseList { rows: vec![row], since: 0, descends: true, requests: 1 };
            let (mut held, again) = (HashSet::from([10]), again.then_some(10).into_iter().collect());
            let order = IdOrder { disordered: false };
            let found = found(&mut batch, &[1], ACCOUNT, &list, (&mut held, &again), order);
            assert_eq!(matches!(found, Rows::Ask), is_asked, "{name} {again:?}");
        }
    }

    #[test]
    fn a_row_that_stands_for_a_case_and_has_the_name_of_a_lost_one_is_left_to_a_person() {
        let (tag, claimed_at) = ("sqai-0123456789ab", 1_800_000_000_000);
        let (since, earlier) = (claimed_at - CLOCK_MARGIN_MS, claimed_at - ROUNDING_MS - 1);
        for (batch_tag, name, created_at, is_asked) in [
            (None, "case 2", claimed_at, true),
            (None, "case 2", earlier, false),
            (None, "case 1", claimed_at, false),
            (None, "another name", claimed_at, false),
            (Some(tag), "case 2", claimed_at, true),
            (Some(tag), "case 2", earlier, false),
            (Some(tag), "case 1", claimed_at, false),
        ] {
            let mut batch = batch_of(2, |_| {});
            let push = OpenPush { id: "p".into(), connection: "v1".into(), batch_tag: None, committed: false };
            let target = Target { account: ACCOUNT.into(), project: 1, folder: 7 };
            batch.record.claim(&[0], push.clone(), &target);
            batch.record.created(&[(0, 10)]);
            let second = OpenPush { batch_tag: batch_tag.map(str::to_owned), ..push };
            batch.record.claim(&[1], second, &target);
            batch.record.unclear(claimed_at);
            let tags = batch_tag.map(str::to_owned).into_iter().collect();
            let row = Row { id: 10, name: name.into(), folder: 7, tags, created_at };
            let list = CaseList { rows: vec![row], since, descends: true, requests: 1 };
            let mut held = HashSet::from([10]);
            let found =
                found(&mut batch, &[1], ACCOUNT, &list, (&mut held, &HashSet::new()), IdOrder { disordered: false });
            assert_eq!(matches!(found, Rows::Ask), is_asked, "{batch_tag:?} {name} {created_at}");
            assert_eq!(batch.candidates.contains(&10), is_asked);
        }
    }
}
