//! Keeps replays, as the real store does.

use std::collections::BTreeMap;
use std::time::Duration;

use testmo_courier::batch::BatchKey;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::batch::replay::{ItemOutcome, Window};
use testmo_courier::store::audit::{AuditAction, AuditEntry, AuditSubject};
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::replays::{
    EndedItem, ItemStart, NewItem, NewPart, NewReplay, PartProgress, ReplayChange, ReplayId, ReplayState, ReplayStep,
    RunningReplay, WaitingItem,
};
use testmo_courier::store::shelf::{Action, OperatorAction, ShelfId, ShelvedUntil, Shelving};

use super::shelf::is_same;
use super::tables::{ShelfRow, Tables, after};
use crate::mutation::Mutation;

/// A replay.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) state: ReplayState,
    pub(crate) epoch: i64,
    pub(super) new: NewReplay,
    pub(super) summary: Option<String>,
    pub(super) created_at: i64,
    pub(super) ended_at: Option<i64>,
    holder: Option<String>,
    lease_until: Option<i64>,
    pub(crate) why: Option<String>,
    pub(crate) parts: BTreeMap<u32, PartProgress>,
    pub(crate) items: BTreeMap<u64, Item>,
}

/// How far an entry of a replay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemState {
    Waiting,
    Started,
    Ended,
    Counted,
}

/// What happened to replays and to entries of the shelf, for the checks.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// A replay got a state.
    Became(ReplayId, ReplayState),
    /// An entry was started that people had changed this often, when so many more of its part could be started.
    Started { start: ItemStart, entry: ShelfId, person_epoch: i64, room: u64 },
    /// An entry was passed over.
    Passed { replay: ReplayId, place: u64, at: i64 },
    /// An entry was replayed alone, edited, discarded or restored, by the worker or the person with this number.
    Acted { by: u64, action: AuditAction, entry: ShelfId, at: i64 },
    /// A message was edited that had this fingerprint; a dead one waits until it is replayed.
    Edited { entry: ShelfId, batch: BatchKey, before: String, was_dead: bool },
}

/// An entry of a replay.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) state: ItemState,
    pub(crate) planned: NewItem,
    pub(crate) entry: ShelfId,
    pub(crate) outcome: Option<ItemOutcome>,
    reason: Option<String>,
}

impl Tables {
    pub(crate) fn create_replay(&mut self, new: &NewReplay, entry: AuditEntry, now: i64) -> ReplayId {
        let id = ReplayId(self.replays.last_key_value().map_or(1, |(id, _)| id.0 + 1));
        let replay = Replay {
            state: ReplayState::Planning,
            epoch: 1,
            new: new.clone(),
            summary: None,
            created_at: now,
            ended_at: None,
            holder: None,
            lease_until: None,
            why: None,
            parts: BTreeMap::new(),
            items: BTreeMap::new(),
        };
        self.replays.insert(id, replay);
        self.journal.push(Note::Became(id, ReplayState::Planning));
        let subject = AuditSubject { name: format!("replay {id}"), ..entry.subject.clone() };
        self.audit.push(AuditEntry { subject, ..entry });
        id
    }

    pub(crate) fn add_items(&mut self, id: ReplayId, parts: &[NewPart], items: &[NewItem]) {
        let Some(replay) = self.replays.get_mut(&id) else { return };
        for new in parts {
            let NewPart { part, cause, account, tenant, batches } = new.clone();
            let window = Window::default();
            let (started, counted, passed, why) = (0, 0, 0, None);
            let empty =
                PartProgress { part, cause, account, tenant, batches: 0, started, counted, passed, window, why };
            replay.parts.entry(part).or_insert(empty).batches += batches;
        }
        for planned in items {
            let (outcome, entry) = (planned.outcome, planned.entry);
            let state = if outcome.is_some() { ItemState::Counted } else { ItemState::Waiting };
            replay.items.insert(planned.place, Item { state, planned: planned.clone(), entry, outcome, reason: None });
        }
    }

    pub(crate) fn change_replay(&mut self, change: &ReplayChange, now: i64) -> bool {
        let Some(replay) = self.replays.get_mut(&change.replay).filter(|replay| replay.epoch == change.epoch) else {
            return false;
        };
        (replay.state, replay.why) = (change.state, change.why.clone());
        replay.epoch += 1;
        replay.summary = change.summary.clone().or(replay.summary.take());
        self.journal.push(Note::Became(change.replay, change.state));
        self.audit.extend(change.audit.clone());
        (replay.holder, replay.lease_until) = (None, None);
        if change.state == ReplayState::Cancelled {
            replay.ended_at = Some(now);
        }
        if change.begins_again {
            for item in replay.items.values_mut().filter(|item| item.state == ItemState::Ended) {
                item.state = ItemState::Counted;
                if let Some(part) = replay.parts.get_mut(&item.planned.part) {
                    part.counted += 1;
                }
            }
            for part in replay.parts.values_mut().filter(|part| part.batches > part.counted + part.passed) {
                (part.window, part.why) = (Window::new(part.left()), None);
            }
        }
        true
    }

    pub(crate) fn lease_replays(
        &mut self,
        holder: &str,
        lease: Duration,
        most: u32,
        known: &[(ReplayId, i64)],
        now: i64,
    ) -> Vec<RunningReplay> {
        let is_free = |replay: &Replay| {
            let is_held = replay.lease_until.is_some_and(|until| until > now);
            replay.state == ReplayState::Running && (!is_held || replay.holder.as_deref() == Some(holder))
        };
        let ignores_stops = self.has(Mutation::IgnoreStops);
        let free = self.replays.iter_mut().filter(|(_, replay)| is_free(replay));
        let leased = free.take(usize::try_from(most).unwrap_or(usize::MAX)).map(|(id, replay)| {
            let is_held =
                replay.holder.as_deref() == Some(holder) && replay.lease_until.is_some_and(|until| until > now);
            let is_known = is_held && !ignores_stops && known.contains(&(*id, replay.epoch));
            (replay.holder, replay.lease_until) = (Some(holder.to_owned()), Some(after(now, lease)));
            for part in replay.parts.values_mut().filter(|part| ignores_stops && part.window.is_stopped()) {
                part.window = Window::new(part.left());
            }
            let parts = replay.parts.values().filter(|part| part.batches > part.counted + part.passed);
            let parts = (!is_known).then(|| parts.cloned().collect());
            let (epoch, owner, per_minute) = (replay.epoch, replay.new.owner.clone(), replay.new.per_minute);
            RunningReplay { id: *id, epoch, owner, per_minute, parts }
        });
        leased.collect()
    }

    pub(crate) fn waiting_items(&self, id: ReplayId, part: u32, most: u32) -> Vec<WaitingItem> {
        let Some(replay) = self.replays.get(&id) else { return Vec::new() };
        let waits = |item: &&Item| item.state == ItemState::Waiting && item.planned.part == part;
        let waiting = replay.items.values().filter(waits).map(|item| WaitingItem {
            place: item.planned.place,
            entry: item.entry,
            identity: item.planned.identity.clone(),
            person_epoch: item.planned.person_epoch,
        });
        waiting.take(usize::try_from(most).unwrap_or(usize::MAX)).collect()
    }

    pub(crate) fn ended_items(&self, id: ReplayId, most: u32) -> Vec<EndedItem> {
        let Some(replay) = self.replays.get(&id) else { return Vec::new() };
        let ended = replay.items.values().filter(|item| item.state == ItemState::Ended).filter_map(|item| {
            let (place, part, reason) = (item.planned.place, item.planned.part, item.reason.clone());
            Some(EndedItem { place, part, outcome: item.outcome?, reason })
        });
        ended.take(usize::try_from(most).unwrap_or(usize::MAX)).collect()
    }

    pub(crate) fn end_lost_items(&mut self, id: ReplayId, most: u32) -> u64 {
        let Some(replay) = self.replays.get_mut(&id) else { return 0 };
        let has = |entry: ShelfId| self.shelf.get(&entry.0).is_some_and(|row| row.replay == Some(id));
        let lost = replay.items.values_mut().filter(|item| item.state == ItemState::Started && !has(item.entry));
        let lost = lost.take(usize::try_from(most).unwrap_or(usize::MAX)).map(|item| {
            (item.state, item.outcome) = (ItemState::Ended, Some(ItemOutcome::Changed));
        });
        lost.count() as u64
    }

    pub(crate) fn advance(&mut self, step: &ReplayStep, now: i64) -> bool {
        self.mark_counted_apart();
        let Some(replay) = self.replays.get_mut(&step.replay) else { return false };
        let is_held = replay.holder.as_deref() == Some(step.holder.as_str()) && replay.state == ReplayState::Running;
        if replay.epoch != step.epoch || !is_held {
            return false;
        }
        let ignores_stops = self.mutation == Some(Mutation::IgnoreStops);
        let goes_on = |state| ignores_stops && state == ReplayState::Paused;
        if let Some((state, why)) = step.state.as_ref().filter(|(state, _)| !goes_on(*state)) {
            (replay.state, replay.why) = (*state, why.clone());
            replay.epoch += 1;
            replay.ended_at = replay.ended_at.or((*state == ReplayState::Done).then_some(now));
            self.journal.push(Note::Became(step.replay, *state));
            self.audit.extend(step.audit.iter().cloned());
        }
        for part in &step.parts {
            if let Some(stored) = replay.parts.get_mut(&part.part) {
                *stored = PartProgress { started: stored.started, ..part.clone() };
            }
        }
        let counts_apart = self.mutation == Some(Mutation::CountApart);
        for place in step.counted.iter().filter(|_| !counts_apart) {
            if let Some(item) = replay.items.get_mut(place).filter(|item| item.state == ItemState::Ended) {
                item.state = ItemState::Counted;
            }
        }
        for end in &step.passed {
            if let Some(item) = replay.items.get_mut(&end.place).filter(|item| item.state == ItemState::Waiting) {
                (item.state, item.outcome) = (ItemState::Counted, Some(end.outcome));
                self.journal.push(Note::Passed { replay: step.replay, place: end.place, at: now });
            }
        }
        if counts_apart {
            self.counted_apart.extend(step.counted.iter().map(|place| (self.caller, step.replay, *place)));
        }
        true
    }

    /// Marks what a worker has counted, as if it did so in a call of its own: marks of a worker that is gone are lost.
    pub(crate) fn mark_counted_apart(&mut self) {
        let (mine, others) =
            std::mem::take(&mut self.counted_apart).into_iter().partition(|mark| mark.0 == self.caller);
        self.counted_apart = others;
        let mine: Vec<(u64, ReplayId, u64)> = mine;
        for (_, id, place) in mine {
            let item = self.replays.get_mut(&id).and_then(|replay| replay.items.get_mut(&place));
            if let Some(item) = item.filter(|item| item.state == ItemState::Ended) {
                item.state = ItemState::Counted;
            }
        }
    }

    pub(crate) fn replay_counts(&self) -> Vec<(ReplayState, u64)> {
        let count = |state| self.replays.values().filter(|replay| replay.state == state).count() as u64;
        let mut counts: Vec<(ReplayState, u64)> = ReplayState::ALL.map(|state| (state, count(state))).into();
        counts.retain(|(_, count)| *count > 0);
        counts.sort_by_key(|(state, _)| state.name());
        counts
    }

    pub(crate) fn stopped_replays(&self) -> u64 {
        let paused = self.replays.values().filter(|replay| replay.state == ReplayState::Paused);
        paused.filter(|replay| replay.parts.values().any(|part| part.why.is_some())).count() as u64
    }

    pub(crate) fn forget_replays(&mut self, retention: Duration, most: u32, now: i64) -> u64 {
        let before = now.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let is_old = |replay: &Replay| match replay.state {
            ReplayState::Done | ReplayState::Cancelled => replay.ended_at.is_some_and(|at| at < before),
            ReplayState::Planning | ReplayState::Planned => replay.created_at < before,
            ReplayState::Running | ReplayState::Paused => false,
        };
        let Some(id) = self.replays.iter().find(|(_, replay)| is_old(replay)).map(|(id, _)| *id) else { return 0 };
        let Some(replay) = self.replays.get_mut(&id) else { return 0 };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let places: Vec<u64> = replay.items.keys().take(most).copied().collect();
        places.iter().for_each(|place| drop(replay.items.remove(place)));
        if places.len() < most {
            self.replays.remove(&id);
        }
        places.len().max(1) as u64
    }

    /// Returns whether a replay may start a row of the shelf.
    pub(super) fn is_startable(&self, row: &ShelfRow, start: &ItemStart) -> bool {
        let Some(replay) = self.replays.get(&start.replay) else { return false };
        let waits = replay.items.get(&start.place).is_some_and(|item| item.state == ItemState::Waiting);
        let is_running = replay.state == ReplayState::Running && replay.epoch == start.epoch;
        let is_held = replay.holder.as_deref() == Some(start.holder.as_str());
        let is_as_planned = row.person_epoch == start.person_epoch || self.has(Mutation::StartChanged);
        (is_running && is_held || self.has(Mutation::StartPaused)) && waits && row.replay.is_none() && is_as_planned
    }

    /// Returns how often a worker believes that people have changed an entry: as often as when it was planned, if it is to
    /// ignore what they did since.
    pub(super) fn believed_person_epoch(&self, entry: ShelfId, person_epoch: i64) -> i64 {
        let is_running = |replay: &&Replay| replay.state == ReplayState::Running;
        let items = self.replays.values().filter(is_running).flat_map(|replay| replay.items.values());
        let planned = items.filter(|item| item.entry == entry && item.state == ItemState::Waiting);
        let planned = planned.map(|item| item.planned.person_epoch).next();
        if self.has(Mutation::StartChanged) { planned.unwrap_or(person_epoch) } else { person_epoch }
    }

    pub(super) fn mark_started(&mut self, start: &ItemStart, entry: ShelfId, person_epoch: i64) {
        let Some(replay) = self.replays.get_mut(&start.replay) else { return };
        let room = replay.parts.get(&start.part).map_or(0, |part| part.window.allowed(part.under_way()));
        self.journal.push(Note::Started { start: start.clone(), entry, person_epoch, room });
        if let Some(item) = replay.items.get_mut(&start.place) {
            item.state = ItemState::Started;
        }
        if let Some(part) = replay.parts.get_mut(&start.part) {
            part.started += 1;
        }
    }

    /// Notes that a change took a row off the shelf that a replay had under way.
    pub(super) fn left_in_replay(
        &mut self,
        change: &Commit,
        entry: ShelfId,
        replay: ReplayId,
        before: Option<BatchState>,
    ) {
        match outcome_of(change, before) {
            Some(outcome) => self.end_item(replay, entry, outcome, change.shelve.as_ref()),
            None => self.handed_over.push((replay, entry)),
        }
    }

    /// Notes what a person, or another replay, did with a row that a replay had under way.
    pub(super) fn acted_in_replay(&mut self, operator_action: &OperatorAction, replay: ReplayId) {
        let outcome = match operator_action.action {
            Action::Discard => ItemOutcome::Discarded,
            Action::Replay => ItemOutcome::Changed,
        };
        self.end_item(replay, operator_action.id, outcome, None);
    }

    /// Notes that a change put something onto the shelf in place of what was there.
    pub(super) fn put_in_replay(&mut self, change: &Commit, shelving: &Shelving) {
        let Some(outcome) = outcome_of(change, None) else { return };
        let there = self.shelf.iter().find(|(_, row)| is_same(&row.content.identity, &shelving.identity));
        if let Some((entry, replay)) = there.and_then(|(id, row)| Some((ShelfId(*id), row.replay?))) {
            self.end_item(replay, entry, outcome, Some(shelving));
        }
    }

    /// Has a row that took the place of another one belong to the replay of that.
    pub(super) fn pass_replays_on(&mut self, change: &Commit) {
        for (replay, from) in std::mem::take(&mut self.handed_over) {
            let Some(shelving) = &change.shelve else { continue };
            let is_next = |row: &ShelfRow| is_same(&row.content.identity, &shelving.identity) && row.replay.is_none();
            let Some((id, row)) = self.shelf.iter_mut().find(|(_, row)| is_next(row)) else { continue };
            row.replay = Some(replay);
            let items = self.replays.get_mut(&replay).map(|replay| &mut replay.items);
            for item in items.into_iter().flat_map(BTreeMap::values_mut) {
                if item.entry == from && item.outcome.is_none() {
                    item.entry = ShelfId(*id);
                }
            }
        }
    }

    fn end_item(&mut self, replay: ReplayId, entry: ShelfId, outcome: ItemOutcome, shelved: Option<&Shelving>) {
        let items = self.replays.get_mut(&replay).map(|replay| &mut replay.items);
        for item in items.into_iter().flat_map(BTreeMap::values_mut) {
            if item.entry == entry && item.state == ItemState::Started {
                (item.state, item.outcome) = (ItemState::Ended, Some(outcome));
                item.reason = shelved.map(|shelving| shelving.reason.code().to_owned());
            }
        }
        if let Some(row) = self.shelf.get_mut(&entry.0) {
            row.replay = None;
        }
    }
}

/// Returns what became of the batch of a change, unless it is still under way.
fn outcome_of(change: &Commit, before: Option<BatchState>) -> Option<ItemOutcome> {
    let shelved = change.shelve.as_ref().map(|row| (row.reason, row.until == ShelvedUntil::Person));
    ItemOutcome::of(change.batch.as_ref().map(|update| update.record.state), shelved, before)
}
