//! Holds the ledger's record of one batch, and changes the record at each end of a create request.

mod closing;
mod decided;
mod dropped;
mod dropping;
pub mod duplicates;
mod edited;
mod model;
mod opening;
pub mod reconcile;
mod repeat;
mod repeating;
mod restored;
mod suspect;
mod suspicion;
#[cfg(test)]
mod tests;
mod undone;

use crate::batch::BatchKey;
use crate::trace::TraceContext;

pub use self::dropped::{DropChange, Dropped, DroppedCase};
pub use self::edited::{CaseLock, Standing};
pub use self::model::{BatchState, CaseRecord, CaseState, OpenPush, PreviousCase, Refusal, Target};
pub use self::repeat::{Change, KeptText, Repeat};
pub use self::suspect::Halved;
pub use self::suspicion::Suspicion;

/// Everything the ledger holds for one batch.
///
/// Invariant: at most one push of a batch is open at a time. Every change raises `epoch`, and a change is stored only
/// if the stored epoch is the one it started from, so a holder of an outdated record cannot change anything.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    /// The identity of the batch.
    pub key: BatchKey,
    /// The hash over the cases and the requested folder.
    pub fingerprint: String,
    /// The fingerprints of the messages from which a person made the present one, the first one first: they are the same
    /// batch.
    pub earlier: Vec<String>,
    /// The state of the batch.
    pub state: BatchState,
    /// The number of the batch's outcome; 1 is the first.
    pub revision: u32,
    /// The number of changes so far; 0 means that the batch is not stored yet.
    pub epoch: u64,
    /// The name of the source whose cases its cases are; `None` if it was stored before sources had names.
    pub source: Option<String>,
    /// The name of the source of the batch that it replaces, if that is another one: its cases are those of both.
    pub replaced: Option<String>,
    /// The targets of its cases, past and present; the last ones are the present ones, one for each place of the batch.
    pub targets: Vec<Target>,
    /// The cases of the batch, in order.
    pub cases: Vec<CaseRecord>,
    /// What it did with cases of its source that it does not have any more.
    pub dropped: Dropped,
    /// The push that is under way, or whose outcome is unknown.
    pub open_push: Option<OpenPush>,
    /// Since when Testmo may hold rows of cases whose outcome is unknown, in milliseconds on the store's clock.
    pub unclear_since: Option<i64>,
    /// Since when rows of a request that was given up may still appear, in milliseconds on the store's clock: its cases
    /// were sent again after reconciliation had found none of them, and no late-duplicate check has run since they
    /// arrived.
    pub late_since: Option<i64>,
    /// The highest case id that was known in the account before the first request whose outcome is unknown, or whose
    /// rows may still appear: the cases of that request have higher ids. `None` if no id was known.
    pub floor: Option<u64>,
    /// When the batch was first claimed, in milliseconds on the store's clock.
    pub first_seen_at: i64,
    /// When the batch reached its present terminal state, in milliseconds on the store's clock.
    pub settled_at: Option<i64>,
    /// When its message was published, in milliseconds since 1970, where known when it was first claimed.
    pub published_at: Option<i64>,
    /// When its message first arrived, in milliseconds on the store's clock, where known when it was first claimed.
    pub arrived_at: Option<i64>,
    /// How many restores of the store from an older copy the record takes into account.
    pub restores: u32,
    /// The trace that its message named when it was first stored: the requests, events and log lines of the batch carry it.
    pub trace: Option<TraceContext>,
}

impl BatchRecord {
    /// Returns the record of a batch that no push was ever claimed for.
    pub fn fresh(key: BatchKey, fingerprint: String, case_keys: impl IntoIterator<Item = String>) -> Self {
        let case = |key| CaseRecord {
            key,
            state: CaseState::Waiting,
            unclear: false,
            target: 0,
            duplicates: Vec::new(),
            suspicion: None,
            previous: None,
        };
        Self {
            key,
            fingerprint,
            earlier: Vec::new(),
            state: BatchState::Open,
            revision: 1,
            epoch: 0,
            source: None,
            replaced: None,
            targets: Vec::new(),
            cases: case_keys.into_iter().map(case).collect(),
            dropped: Dropped::default(),
            open_push: None,
            unclear_since: None,
            late_since: None,
            floor: None,
            first_seen_at: 0,
            settled_at: None,
            published_at: None,
            arrived_at: None,
            restores: 0,
            trace: None,
        }
    }

    /// Returns the positions of the cases that may be in Testmo without the ledger knowing.
    pub fn unclear_cases(&self) -> impl Iterator<Item = usize> {
        self.positions(|case| match case.state {
            CaseState::Claimed => true,
            CaseState::Waiting => case.unclear,
            CaseState::Created(_)
            | CaseState::Adopted(_)
            | CaseState::Repeated(_)
            | CaseState::Refused(_)
            | CaseState::Lost => false,
        })
    }

    fn positions(&self, wanted: impl Fn(&CaseRecord) -> bool) -> impl Iterator<Item = usize> {
        self.cases.iter().enumerate().filter(move |(_, case)| wanted(case)).map(|(i, _)| i)
    }

    /// Returns the present target, or the last one of several: all are in the same account and project.
    pub fn target(&self) -> Option<&Target> {
        self.targets.last()
    }

    /// Returns the present targets of a batch with this many places, in the order of the places; `None` before the first
    /// claim.
    pub fn present_targets(&self, places: usize) -> Option<&[Target]> {
        self.targets.len().checked_sub(places.max(1)).map(|first| &self.targets[first..])
    }

    /// Claims the cases at `positions` for a push into `target`.
    pub fn claim(&mut self, positions: &[usize], push: OpenPush, target: &Target) {
        let cases: Vec<(usize, usize)> = positions.iter().map(|position| (*position, 0)).collect();
        self.claim_in(&cases, push, std::slice::from_ref(target));
    }

    /// Claims cases, each given with its place, for a push; `targets` has one target for each place of the batch.
    pub fn claim_in(&mut self, cases: &[(usize, usize)], push: OpenPush, targets: &[Target]) {
        if !self.targets.ends_with(targets) {
            self.targets.extend_from_slice(targets);
        }
        let first = self.targets.len() - targets.len();
        for &(position, place) in cases {
            let case = &mut self.cases[position];
            case.state = CaseState::Claimed;
            case.target = first + place;
        }
        self.open_push = Some(push);
        self.epoch += 1;
    }

    /// Returns the floor for a claim of cases in `account`, where ids up to `highest` are known.
    ///
    /// While a case of the batch may be in Testmo without the ledger knowing, the first floor counts: what an earlier
    /// request created has lower ids than the highest one known now. An id of one account says nothing about another
    /// account.
    pub fn next_floor(&self, account: &str, highest: Option<u64>) -> Option<u64> {
        let is_lost = |case: &CaseRecord| case.state == CaseState::Lost;
        if self.unclear_since.is_none() && self.late_since.is_none() && !self.cases.iter().any(is_lost) {
            return highest;
        }
        self.floor.filter(|_| self.targets.iter().all(|target| target.account == account))
    }

    /// Returns whether a request of the batch may have created the row with this id and the batch's own tag. A row at
    /// or below the floor existed before: a person may have copied an older case together with its tag.
    pub fn may_have_created(&self, id: u64) -> bool {
        self.floor.is_none_or(|floor| id > floor)
    }

    /// Records an answer that gave ids, by position in the batch; the outcome of a claimed case without an id stays
    /// unknown.
    pub fn created(&mut self, ids: &[(usize, u64)]) {
        for &(position, id) in ids {
            let case = &mut self.cases[position];
            (case.state, case.unclear, case.suspicion) = (CaseState::Created(id), false, None);
        }
        if !ids.is_empty() {
            self.prove();
        }
        if let Some(push) = &mut self.open_push {
            push.committed |= !ids.is_empty();
        }
        self.resolve_if_clear();
        self.epoch += 1;
    }

    /// Records that the open push is known to have been carried out, although no case of this batch was named.
    pub fn carried_out(&mut self) {
        if let Some(push) = &mut self.open_push {
            push.committed = true;
        }
    }

    /// Records an end that created nothing: the cases in `refused` are finished, the others become `Waiting` again.
    pub fn not_created(&mut self, refused: Vec<(usize, Refusal)>) {
        for (position, refusal) in refused {
            let case = &mut self.cases[position];
            (case.state, case.unclear, case.suspicion) = (CaseState::Refused(Box::new(refusal)), false, None);
        }
        for case in self.cases.iter_mut().filter(|case| case.state == CaseState::Claimed) {
            case.state = CaseState::Waiting;
        }
        self.resolve_if_clear();
        self.epoch += 1;
    }

    /// Resets refused cases to `Waiting`: the connection, not the case, was at fault.
    pub fn reprieve(&mut self, positions: &[usize]) {
        for &position in positions {
            self.cases[position].state = CaseState::Waiting;
        }
        self.epoch += 1;
    }

    /// Records that the outcome of the push claimed at `claimed_at` is unknown.
    pub fn unclear(&mut self, claimed_at: i64) {
        self.unclear_since = Some(self.unclear_since.map_or(claimed_at, |since| since.min(claimed_at)));
        for case in self.cases.iter_mut().filter(|case| case.state == CaseState::Claimed) {
            case.unclear = true;
        }
        self.epoch += 1;
    }

    /// Returns whether the record says already that the outcome of the push claimed at `claimed_at` is unknown.
    pub fn is_noted_unclear(&self, claimed_at: i64) -> bool {
        let are_cases = self.cases.iter().all(|case| case.state != CaseState::Claimed || case.unclear);
        are_cases && self.unclear_since.is_some_and(|since| since <= claimed_at)
    }

    /// Records that reconciliation found these cases, by position.
    ///
    /// A request is carried out whole or not at all. So if any case of the open push is in Testmo (`committed`, or one
    /// of `found`), a person removed each of its cases that is not there, and that case is never pushed again
    /// automatically. This says nothing about cases that wait with an unknown outcome from an earlier push: for those,
    /// one of their own has to be found.
    pub fn reconciled(&mut self, found: &[(usize, u64)], committed: bool) {
        let known = self.open_push.as_ref().is_some_and(|push| push.committed);
        let unclear: Vec<usize> = self.unclear_cases().collect();
        let is_claimed = |record: &Self, position: usize| record.cases[position].state == CaseState::Claimed;
        let found_of_push = found.iter().any(|(position, _)| is_claimed(self, *position));
        let found_of_earlier = found.iter().any(|(position, _)| !is_claimed(self, *position));
        // Without a batch tag, a late row cannot be distinguished from a row that a person created.
        let tagged = self.open_push.as_ref().is_some_and(|push| push.batch_tag.is_some());
        let nothing_is_there = found.is_empty() && !committed && !known;
        if tagged && nothing_is_there && !unclear.is_empty() {
            self.late_since = self.late_since.into_iter().chain(self.unclear_since).min();
        }
        for &(position, id) in found {
            let case = &mut self.cases[position];
            (case.state, case.unclear, case.suspicion) = (CaseState::Adopted(id), false, None);
        }
        if !found.is_empty() {
            self.prove();
        }
        let is_found = |position: usize| found.iter().any(|(at, _)| *at == position);
        for position in unclear.into_iter().filter(|position| !is_found(*position)) {
            let of_push = is_claimed(self, position);
            let carried_out = if of_push { committed || known || found_of_push } else { found_of_earlier };
            let case = &mut self.cases[position];
            case.state = if carried_out { CaseState::Lost } else { CaseState::Waiting };
            case.unclear = !carried_out;
            if carried_out {
                case.suspicion = None;
            }
        }
        self.resolve_if_clear();
        self.epoch += 1;
    }

    /// Returns the cases that the batch created and that are in Testmo, with their positions and ids.
    pub fn arrived(&self) -> impl Iterator<Item = (usize, u64)> {
        self.cases.iter().enumerate().filter_map(|(position, case)| match case.state {
            CaseState::Created(id) | CaseState::Adopted(id) => Some((position, id)),
            CaseState::Waiting
            | CaseState::Claimed
            | CaseState::Repeated(_)
            | CaseState::Refused(_)
            | CaseState::Lost => None,
        })
    }

    /// Returns the cases that the batch created in Testmo in `account`, with their positions and ids.
    pub fn arrived_at(&self, account: &str) -> impl Iterator<Item = (usize, u64)> {
        self.arrived().filter(move |(position, _)| self.is_at(self.cases[*position].target, account))
    }

    /// Returns whether a target of the batch is in an account. An id of one account says nothing about another one.
    pub(super) fn is_at(&self, target: usize, account: &str) -> bool {
        self.targets.get(target).is_some_and(|target| target.account == account)
    }

    /// Returns the ids of the rows in `account` that were already recorded as duplicates.
    pub fn known_duplicates_at(&self, account: &str) -> impl Iterator<Item = u64> {
        let there = self.cases.iter().filter(move |case| self.is_at(case.target, account));
        there.flat_map(|case| &case.duplicates).copied()
    }

    /// Records rows that duplicate cases, by position, without raising the epoch: another change goes with it.
    pub fn duplicated(&mut self, duplicates: &[(usize, u64)]) {
        for &(position, id) in duplicates {
            self.cases[position].duplicates.push(id);
        }
    }

    /// Records that the late-duplicate check ran after all cases had arrived: rows that appear later are not noticed.
    pub fn late_checked(&mut self) {
        self.late_since = None;
        self.epoch += 1;
    }

    fn resolve_if_clear(&mut self) {
        if self.cases.iter().all(|case| case.state != CaseState::Claimed) {
            self.open_push = None;
        }
        if self.unclear_cases().next().is_none() {
            self.unclear_since = None;
        }
    }

    /// Gives up every case with an unknown outcome, because its account no longer belongs to the tenant.
    pub fn give_up_unclear(&mut self) {
        let unclear: Vec<usize> = self.unclear_cases().collect();
        for position in unclear {
            let case = &mut self.cases[position];
            (case.state, case.unclear, case.suspicion) = (CaseState::Lost, false, None);
        }
        self.resolve_if_clear();
        self.epoch += 1;
    }

    /// Returns the terminal state that follows from the cases, or `None` while a case is open.
    pub fn outcome(&self) -> Option<BatchState> {
        let (mut arrived, mut failed) = (false, false);
        for case in &self.cases {
            match case.state {
                CaseState::Waiting | CaseState::Claimed => return None,
                CaseState::Repeated(_) if case.is_writing() => return None,
                CaseState::Created(_) | CaseState::Adopted(_) | CaseState::Repeated(_) => arrived = true,
                CaseState::Refused(_) | CaseState::Lost => failed = true,
            }
        }
        Some(match (arrived, failed) {
            (_, false) => BatchState::Delivered,
            (false, true) => BatchState::Failed,
            (true, true) => BatchState::Partial,
        })
    }
}
