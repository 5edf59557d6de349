//! Is it there already? A look into Testmo for every case of which that is not known, one look for all that went to the
//! same folder.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use tokio::time::Instant;

use super::courier::Courier;
use super::crash::{self, Point};
use super::deliver::{Flow, Job, Learnt, Part};
use super::entry::Entry;
use super::sample::Sample;
use crate::batch::batch_tag;
use crate::batch::ledger::duplicates::duplicates;
use crate::batch::ledger::reconcile::{Found, Row, Wanted, find};
use crate::batch::ledger::{BatchRecord, CaseState, Target};
use crate::batch::verdict::after_failed_look;
use crate::batch::verdict::answer::ApiError;
use crate::store::StoreError;
use crate::store::ledger::{Commit, PushEnded};
use crate::testmo::{Access, Look, Past};

impl Courier {
    /// Looks for what is in doubt, and settles batches for which that leaves nothing to do. A look is worth something
    /// only if the push follows at once.
    pub(super) async fn look_for_doubtful(&self, job: &mut Job) -> Result<(), StoreError> {
        let mut targets: Vec<Target> = Vec::new();
        for part in job.parts.iter_mut().filter(|part| is_doubtful(part)) {
            let target = part.entry.record.target().cloned();
            match target.filter(|target| target.account == part.entry.account()) {
                Some(target) if targets.contains(&target) => {}
                Some(target) => targets.push(target),
                None => self.give_up_doubtful(part).await?,
            }
        }
        for target in targets {
            match self.look_at(job, &target).await {
                // It decides about these batches only.
                Err(StoreError::Unreadable(row)) => {
                    let goes_there =
                        |part: &&mut Part| is_doubtful(part) && part.entry.record.target() == Some(&target);
                    job.parts.iter_mut().filter(goes_there).for_each(|part| part.flow = Some(Flow::Held(row.clone())));
                }
                looked => looked?,
            }
        }
        for part in job.open().filter(|part| part.entry.record.outcome().is_some()) {
            part.flow = Some(self.settle_known(&mut part.entry).await?);
        }
        Ok(())
    }

    /// What went to an account that is not the tenant's any more is never found out.
    async fn give_up_doubtful(&self, part: &mut Part) -> Result<(), StoreError> {
        part.entry.record.give_up_doubtful();
        if !self.store_revised(&mut part.entry, Commit::default()).await?.is_done() {
            part.flow = Some(Flow::Reload);
        }
        Ok(())
    }

    async fn look_at(&self, job: &mut Job, target: &Target) -> Result<(), StoreError> {
        let goes_there = |part: &&mut Part| is_doubtful(part) && part.entry.record.target() == Some(target);
        let mut there: Vec<&mut Part> = job.parts.iter_mut().filter(goes_there).collect();
        let Some(first) = there.first_mut() else { return Ok(()) };
        let connection = first.entry.connection.clone();
        let mut order = Order { disordered: self.store.throttle(&target.account).await?.ids_disordered };
        there.iter_mut().for_each(|part| order.apply(&mut part.entry.record));
        let flow = match self.may_ask(&connection, &mut job.learnt).await? {
            Some(flow) => Err(flow),
            None => match self.look_for(&there, target, &connection.access, &mut job.learnt).await? {
                Ok(look) => Ok(look),
                Err(trouble) => {
                    let next = after_failed_look(&trouble);
                    Err(self.call_failed(&mut there[0].entry, &trouble, next, &mut job.learnt).await?)
                }
            },
        };
        crash::after(Point::Look);
        match flow {
            Ok(look) => self.match_rows(there, target, &look, &mut order).await,
            Err(flow) => {
                there.into_iter().for_each(|part| part.flow = Some(flow.clone()));
                Ok(())
            }
        }
    }

    /// Asks for the cases of these batches alone where that can be relied on, and for everything that was created in the
    /// folder otherwise.
    async fn look_for(
        &self,
        there: &[&mut Part],
        target: &Target,
        access: &Access,
        learnt: &mut Learnt,
    ) -> Result<Result<Look, ApiError>, StoreError> {
        let before = there.iter().map(|part| doubt_since(&part.entry)).min().unwrap_or(0);
        let up_to = there.iter().try_fold(u64::MAX, |least, part| Some(least.min(part.entry.record.floor?)));
        let past = Past { before, up_to, offset: self.samples.offset(&target.account) };
        // Where nobody said that a request has ended, its cases may be the youngest.
        let ended = there.iter().try_fold(None, |last, part| Some(last.max(Some(part.entry.doubt.ended_at?))));
        let sample = ended.flatten().and_then(|ended| self.samples.younger_than(target, ended, Instant::now()));
        if let Some(sample) = sample
            && let Some(tags) = self.tags_of(there, &sample).await?
        {
            let look = self.look_by_tags(access, target, past, &tags, sample.id).await;
            learnt.requests += look.as_ref().ok().and_then(Option::as_ref).map_or(1, |look| look.requests);
            match look {
                Ok(Some(look)) => {
                    self.note_order(&target.account, &look);
                    return Ok(Ok(look));
                }
                Ok(None) => self.samples.distrust(&target.account, Instant::now()),
                Err(trouble) => return Ok(Err(trouble)),
            }
        }
        let look = self.client.look(access, target, past, &[]).await;
        learnt.requests += look.as_ref().map_or(1, |look| look.requests);
        look.iter().for_each(|look| self.note_order(&target.account, look));
        Ok(look)
    }

    /// The tags of everything that a look has to tell of; `None` where something of it has none.
    async fn tags_of(&self, there: &[&mut Part], sample: &Sample) -> Result<Option<Vec<String>>, StoreError> {
        let mut tags: BTreeSet<String> = sample.tag.iter().cloned().collect();
        let mut pushes = BTreeSet::new();
        for part in there {
            let entry = &part.entry;
            let push = entry.record.open_push.as_ref();
            let Some(tag) = batch_tag_of(entry, &push.map(|push| push.batch_tag.clone())) else { return Ok(None) };
            tags.insert(tag);
            pushes.extend(push.map(|push| push.id.as_str()));
        }
        for push in pushes {
            tags.extend(self.store.push_members(push).await?.waiting.iter().map(|record| batch_tag(&record.key)));
        }
        Ok(Some(tags.into_iter().collect()))
    }

    /// Finds out of each batch what is there. A row serves once, whichever batch it is for.
    async fn match_rows(
        &self,
        there: Vec<&mut Part>,
        target: &Target,
        look: &Look,
        order: &mut Order,
    ) -> Result<(), StoreError> {
        let ids: Vec<u64> = look.rows.iter().map(|row| row.id).collect();
        let mut held = self.store.held_ids(&target.account, &ids).await?;
        // Nobody can have copied a case of a batch of which none has arrived: the id that was taken for the floor is none.
        let is_contradicted = |part: &&mut Part| {
            let entry = &part.entry;
            let has_arrived = entry.record.arrived().next().is_some();
            !has_arrived && !self.search(entry, target, look, &held).older.is_empty()
        };
        let mut there = there;
        if there.iter().any(is_contradicted) {
            self.note_disorder(&target.account).await?;
            order.disordered = true;
            there.iter_mut().for_each(|part| order.apply(&mut part.entry.record));
        }
        let mut carried_out: BTreeMap<String, bool> = BTreeMap::new();
        for part in there {
            let entry = &mut part.entry;
            // A row that was told to stand for a case once more never stands for another one.
            held.extend(entry.record.told_twice());
            let push = entry.record.open_push.as_ref().map(|push| push.id.clone());
            let known = match &push {
                Some(push) => match carried_out.get(push) {
                    Some(known) => *known,
                    None => self.was_carried_out(push, &look.rows, &held, *order).await?,
                },
                None => false,
            };
            let pushed_tag = entry.record.open_push.as_ref().map(|push| push.batch_tag.clone());
            let found = match self.found(entry, target, look, &mut held, *order) {
                Rows::Of(found) => found,
                Rows::Ask => {
                    entry.record.give_up_doubtful();
                    if !self.store_revised(entry, Commit::default()).await?.is_done() {
                        part.flow = Some(Flow::Reload);
                    }
                    carried_out.extend(push.map(|push| (push, true)));
                    continue;
                }
            };
            let ids = span(found.iter().map(|(_, id)| *id));
            let of_push = found.iter().any(|(at, _)| entry.record.cases[*at].state == CaseState::Claimed);
            // What an earlier push created says nothing of the open one, but is held all the same.
            let came_of = match &push {
                Some(push) if of_push => Some(push.clone()),
                _ if ids.is_none() => None,
                other => self.store.last_push(&entry.identity.key, &target.account, other.as_deref()).await?,
            };
            let ended = came_of.zip(ids).map(|(push, ids)| PushEnded { push, answer: "adopted", ids: Some(ids) });
            entry.record.looked(&found, known);
            let batch_tag = batch_tag_of(entry, &pushed_tag);
            let twice = self.note_duplicates(&mut entry.record, batch_tag.as_deref(), &held, &look.rows);
            let (events, twice) = twice.map_or((Vec::new(), 0), |(event, count)| (vec![event], count));
            let change = Commit { ended, events, ..Commit::default() };
            if !self.store_revised(entry, change).await?.is_done() {
                // What was taken for this push may have come of one that somebody else has sent since.
                part.flow = Some(Flow::Reload);
                continue;
            }
            if let Some(push) = push {
                carried_out.insert(push, known || of_push);
            }
            self.count_duplicates(&entry.identity.key, twice);
            self.metrics.cases.with_label_values(&["adopted"]).inc_by(found.len() as u64);
        }
        Ok(())
    }

    /// The rows that are cases of a batch, by position. Where ids do not tell what is older, a row with the batch's tag
    /// can be a person's copy of an older case, so a person is asked.
    ///
    /// So it is where a row with the tag is held for a case of another batch: then Testmo gives ids to cases that it had
    /// given to others before.
    fn found(&self, entry: &mut Entry, target: &Target, look: &Look, held: &mut HashSet<u64>, order: Order) -> Rows {
        let batch_tag = tag_of(entry);
        let Found { cases: found, left_over, older } = self.search(entry, target, look, held);
        let (doubted, adopted) = (entry.record.doubtful().count(), found.len());
        tracing::info!(batch = %entry.identity.key, doubted, adopted, ?left_over, ?older, "reconciled with Testmo");
        let own: HashSet<u64> = entry.record.arrived().map(|(_, id)| id).chain(entry.record.told_twice()).collect();
        let is_given_twice = |row: &&Row| held.contains(&row.id) && !own.contains(&row.id);
        let has_batch_tag = |row: &&Row| batch_tag.as_ref().is_some_and(|batch_tag| row.tags.contains(batch_tag));
        let twice: Vec<u64> = look.rows.iter().filter(has_batch_tag).filter(is_given_twice).map(|row| row.id).collect();
        let is_unclear = order.disordered && batch_tag.is_some() && !(found.is_empty() && left_over.is_empty());
        let ids = found.iter().map(|(_, id)| *id);
        if is_unclear || !twice.is_empty() {
            entry.candidates = ids.chain(left_over).chain(twice).collect();
            return Rows::Ask;
        }
        held.extend(ids);
        entry.candidates = left_over.into_iter().chain(older).collect();
        Rows::Of(found)
    }

    fn search(&self, entry: &Entry, target: &Target, look: &Look, held: &HashSet<u64>) -> Found {
        let batch_tag = tag_of(entry);
        let doubtful = entry.record.doubtful();
        let cases: Vec<(usize, &str)> = doubtful.map(|at| (at, entry.cases[at].name.as_str())).collect();
        let arrived: Vec<(usize, u64)> = entry.record.arrived_at(&target.account).collect();
        let wanted = Wanted {
            cases: &cases,
            arrived: &arrived,
            batch_tag: batch_tag.as_deref(),
            folder: target.folder,
            floor: entry.record.floor,
            not_before: look.since,
            held,
        };
        find(&wanted, &look.rows)
    }

    /// Counts a list that did not come in the order it was asked for: then all of it was read.
    pub(super) fn note_order(&self, account: &str, look: &Look) {
        if !look.descends {
            self.metrics.unordered_lists.inc();
            tracing::warn!(
                account,
                requests = look.requests,
                "Testmo lists cases in another order than it was asked for"
            );
        }
    }

    /// Whether a push is known to have created cases: by the ledger, or by a row of a batch that waits for nothing but
    /// to know that. A row that stands for a case once more came of another push, long after that was given up.
    async fn was_carried_out(
        &self,
        push: &str,
        rows: &[Row],
        held: &HashSet<u64>,
        order: Order,
    ) -> Result<bool, StoreError> {
        let mut company = self.store.push_members(push).await?;
        company.waiting.iter_mut().for_each(|record| order.apply(record));
        let came_of_it = |record: &BatchRecord| {
            let tag = batch_tag(&record.key);
            let late = duplicates(record, &tag, held, rows).into_iter().map(|(_, id)| id);
            let late: HashSet<u64> = late.chain(record.told_twice()).collect();
            let is_old = |row: &Row| held.contains(&row.id) || late.contains(&row.id);
            let is_new = |row: &Row| record.may_have_created(row.id) && !is_old(row);
            rows.iter().any(|row| row.tags.contains(&tag) && is_new(row))
        };
        Ok(company.committed || company.waiting.iter().any(came_of_it))
    }
}

/// Which rows are cases of a batch.
enum Rows {
    /// These, by position.
    Of(Vec<(usize, u64)>),
    /// Only a person can tell.
    Ask,
}

/// Whether ids of an account tell what is older.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) disordered: bool,
}

impl Order {
    /// Where ids do not tell what is older, there is no floor.
    pub(super) fn apply(self, record: &mut BatchRecord) {
        if self.disordered {
            record.floor = None;
        }
    }
}

fn is_doubtful(part: &Part) -> bool {
    part.flow.is_none() && part.entry.record.doubtful().next().is_some()
}

/// The tag of a batch's cases: that of its open push, if there is one.
fn batch_tag_of(entry: &Entry, pushed: &Option<Option<String>>) -> Option<String> {
    pushed.clone().unwrap_or_else(|| entry.batch_tag())
}

/// The tag of the cases that are looked for.
fn tag_of(entry: &Entry) -> Option<String> {
    batch_tag_of(entry, &entry.record.open_push.as_ref().map(|push| push.batch_tag.clone()))
}

fn doubt_since(entry: &Entry) -> i64 {
    entry.record.doubt_since.unwrap_or(entry.claimed_at)
}

/// The lowest and the highest of some ids.
pub(super) fn span(ids: impl Iterator<Item = u64>) -> Option<(u64, u64)> {
    ids.fold(None, |span, id| Some(span.map_or((id, id), |(low, high): (u64, u64)| (low.min(id), high.max(id)))))
}
