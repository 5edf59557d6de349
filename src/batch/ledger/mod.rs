//! What is known of a batch's cases? The ledger's record of one batch, and how each end of a push changes it.

pub mod duplicates;
pub mod reconcile;
mod suspect;
mod suspicion;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::batch::BatchKey;
use crate::batch::verdict::answer::FieldRefusal;
use crate::batch::verdict::reason::Reason;

pub use self::suspect::Halved;
pub use self::suspicion::Suspicion;

/// Everything the ledger holds of one batch.
///
/// At most one push of a batch is open at a time. Every change raises `epoch`, and a change is stored only where
/// the epoch is still the one it started from, so an outdated holder can change nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchRecord {
    /// Its identity.
    pub key: BatchKey,
    /// The work it stands for.
    pub fingerprint: String,
    /// How far it is.
    pub state: BatchState,
    /// Counts terminal settlements; 1 is the first.
    pub revision: u32,
    /// Counts changes; 0 is a batch that is not stored yet.
    pub epoch: u64,
    /// Where its cases went and go; the last one is the present one.
    pub targets: Vec<Target>,
    /// Its cases, in order.
    pub cases: Vec<CaseRecord>,
    /// The push that is under way, or whose end is not clear yet.
    pub open_push: Option<OpenPush>,
    /// Since when rows of doubtful cases may stand in Testmo, in milliseconds on the store's clock.
    pub doubt_since: Option<i64>,
    /// Since when rows of a request that was given up may still turn up, likewise: its cases were sent again when a
    /// look had found none of them, and nobody has looked since they arrived.
    pub late_since: Option<i64>,
    /// The highest id of a case that was known in the account before any request began whose outcome is unknown, or
    /// whose rows may still turn up: its cases have higher ids. `None` where no id was known.
    pub floor: Option<u64>,
    /// When it was first claimed, in milliseconds on the store's clock.
    pub first_seen_at: i64,
    /// When it reached its present terminal state, likewise.
    pub settled_at: Option<i64>,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    /// Work is left, or an end is unclear.
    Open,
    /// Every case is in Testmo.
    Delivered,
    /// Some cases are in Testmo, the others will not be.
    Partial,
    /// No case is in Testmo, and none will be.
    Failed,
    /// A person gave it up.
    Discarded,
    /// A person had its cases removed.
    Undone,
}

/// Where cases are created.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The account's canonical origin.
    pub account: String,
    /// The project.
    pub project: u64,
    /// The folder.
    pub folder: u64,
}

/// One case of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// Its key within the batch.
    #[serde(rename = "k")]
    pub key: String,
    /// What is known of it.
    #[serde(rename = "s")]
    pub state: CaseState,
    /// Whether an earlier push of it ended unclear, so that it is looked for before each further try.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub doubt: bool,
    /// Which of the batch's targets it went to.
    #[serde(rename = "t", default, skip_serializing_if = "is_zero")]
    pub target: usize,
    /// Rows in Testmo that stand for it once more: those of a request that was carried out after it was given up.
    #[serde(rename = "x", default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<u64>,
    /// What is known of it, where its requests were answered with a status that does not tell their outcome.
    #[serde(rename = "q", default, skip_serializing_if = "Option::is_none")]
    pub suspicion: Option<Box<Suspicion>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// What is known of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseState {
    /// To be pushed.
    Waiting,
    /// Part of the open push.
    Claimed,
    /// In Testmo, by an answer that said so.
    Created(u64),
    /// In Testmo, found there after an unclear end.
    Adopted(u64),
    /// Refused for good.
    Refused(Box<Refusal>),
    /// It may have been created, but it is not found in Testmo, and only a person has it sent again: its request was
    /// carried out, or it keeps being answered with a status that does not tell its outcome.
    Lost,
}

/// Why a case was refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The reason.
    pub reason: Reason,
    /// What Testmo said of it.
    pub said: Vec<FieldRefusal>,
}

/// A push that was claimed and is not resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenPush {
    /// Its id.
    pub id: String,
    /// The version of the connection it uses.
    pub connection: String,
    /// The tag its cases of this batch carry, if the tenant has not switched that off.
    pub batch_tag: Option<String>,
    /// Whether at least one of its cases is known to be created.
    pub committed: bool,
}

impl BatchRecord {
    /// The record of a batch that no push was ever claimed for.
    pub fn fresh(key: BatchKey, fingerprint: String, case_keys: impl IntoIterator<Item = String>) -> Self {
        let case = |key| CaseRecord {
            key,
            state: CaseState::Waiting,
            doubt: false,
            target: 0,
            duplicates: Vec::new(),
            suspicion: None,
        };
        Self {
            key,
            fingerprint,
            state: BatchState::Open,
            revision: 1,
            epoch: 0,
            targets: Vec::new(),
            cases: case_keys.into_iter().map(case).collect(),
            open_push: None,
            doubt_since: None,
            late_since: None,
            floor: None,
            first_seen_at: 0,
            settled_at: None,
        }
    }

    /// Positions of the cases that may stand in Testmo without our knowing.
    pub fn unclear_cases(&self) -> impl Iterator<Item = usize> {
        self.positions(|case| match case.state {
            CaseState::Claimed => true,
            CaseState::Waiting => case.doubt,
            CaseState::Created(_) | CaseState::Adopted(_) | CaseState::Refused(_) | CaseState::Lost => false,
        })
    }

    fn positions(&self, wanted: impl Fn(&CaseRecord) -> bool) -> impl Iterator<Item = usize> {
        self.cases.iter().enumerate().filter(move |(_, case)| wanted(case)).map(|(i, _)| i)
    }

    /// The present target.
    pub fn target(&self) -> Option<&Target> {
        self.targets.last()
    }

    /// Claims the cases at `positions` for a push into `target`.
    pub fn claim(&mut self, positions: &[usize], push: OpenPush, target: &Target) {
        if self.targets.last() != Some(target) {
            self.targets.push(target.clone());
        }
        let target = self.targets.len() - 1;
        for &position in positions {
            let case = &mut self.cases[position];
            case.state = CaseState::Claimed;
            case.target = target;
        }
        self.open_push = Some(push);
        self.epoch += 1;
    }

    /// The floor for a claim of cases in an account where the ids up to `highest` are known.
    ///
    /// While anything of the batch may stand in Testmo without our knowing, the first floor counts: what an earlier
    /// request created has lower ids than what is known by now. An id tells nothing of another account.
    pub fn next_floor(&self, account: &str, highest: Option<u64>) -> Option<u64> {
        let is_lost = |case: &CaseRecord| case.state == CaseState::Lost;
        if self.doubt_since.is_none() && self.late_since.is_none() && !self.cases.iter().any(is_lost) {
            return highest;
        }
        self.floor.filter(|_| self.target().is_some_and(|target| target.account == account))
    }

    /// Whether a row with the batch's own tag and this id may come of a request of the batch. One at or below the floor
    /// was there before: a person may have copied an older case together with its tag.
    pub fn may_have_created(&self, id: u64) -> bool {
        self.floor.is_none_or(|floor| id > floor)
    }

    /// Records an answer that gave ids, by position of the batch; a claimed case without one stays unclear.
    pub fn created(&mut self, ids: &[(usize, u64)]) {
        for &(position, id) in ids {
            let case = &mut self.cases[position];
            (case.state, case.doubt, case.suspicion) = (CaseState::Created(id), false, None);
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

    /// Notes that the open push is known to have been carried out, although no case of this batch was named.
    pub fn carried_out(&mut self) {
        if let Some(push) = &mut self.open_push {
            push.committed = true;
        }
    }

    /// Records an end that created nothing: `refused` cases are done with, the others wait again.
    pub fn not_created(&mut self, refused: Vec<(usize, Refusal)>) {
        for (position, refusal) in refused {
            let case = &mut self.cases[position];
            (case.state, case.doubt, case.suspicion) = (CaseState::Refused(Box::new(refusal)), false, None);
        }
        for case in self.cases.iter_mut().filter(|case| case.state == CaseState::Claimed) {
            case.state = CaseState::Waiting;
        }
        self.resolve_if_clear();
        self.epoch += 1;
    }

    /// Has refused cases wait again, because it was not they who deserved it.
    pub fn reprieve(&mut self, positions: &[usize]) {
        for &position in positions {
            self.cases[position].state = CaseState::Waiting;
        }
        self.epoch += 1;
    }

    /// Records an unclear end of the push that was claimed at `claimed_at`.
    pub fn unclear(&mut self, claimed_at: i64) {
        self.doubt_since = Some(self.doubt_since.map_or(claimed_at, |since| since.min(claimed_at)));
        for case in self.cases.iter_mut().filter(|case| case.state == CaseState::Claimed) {
            case.doubt = true;
        }
        self.epoch += 1;
    }

    /// Records a look into Testmo that found these cases, by position.
    ///
    /// A request is carried out whole or not at all: if any case of the open push is there (`committed`, or one of the
    /// found), one of it that is not there was taken away by a person, and is never pushed again by itself. That tells
    /// nothing of cases that wait in doubt from an earlier push: for those it takes one of their own.
    pub fn reconciled(&mut self, found: &[(usize, u64)], committed: bool) {
        let known = self.open_push.as_ref().is_some_and(|push| push.committed);
        let doubtful: Vec<usize> = self.unclear_cases().collect();
        let is_claimed = |record: &Self, position: usize| record.cases[position].state == CaseState::Claimed;
        let found_of_push = found.iter().any(|(position, _)| is_claimed(self, *position));
        let found_of_earlier = found.iter().any(|(position, _)| !is_claimed(self, *position));
        // Without a batch tag, a late row cannot be told from one that a person made.
        let tagged = self.open_push.as_ref().is_some_and(|push| push.batch_tag.is_some());
        let nothing_is_there = found.is_empty() && !committed && !known;
        if tagged && nothing_is_there && !doubtful.is_empty() {
            self.late_since = self.late_since.into_iter().chain(self.doubt_since).min();
        }
        for &(position, id) in found {
            let case = &mut self.cases[position];
            (case.state, case.doubt, case.suspicion) = (CaseState::Adopted(id), false, None);
        }
        if !found.is_empty() {
            self.prove();
        }
        let is_found = |position: usize| found.iter().any(|(at, _)| *at == position);
        for position in doubtful.into_iter().filter(|position| !is_found(*position)) {
            let of_push = is_claimed(self, position);
            let carried_out = if of_push { committed || known || found_of_push } else { found_of_earlier };
            let case = &mut self.cases[position];
            case.state = if carried_out { CaseState::Lost } else { CaseState::Waiting };
            case.doubt = !carried_out;
            if carried_out {
                case.suspicion = None;
            }
        }
        self.resolve_if_clear();
        self.epoch += 1;
    }

    /// The cases that are in Testmo, with their positions.
    pub fn arrived(&self) -> impl Iterator<Item = (usize, u64)> {
        self.cases.iter().enumerate().filter_map(|(position, case)| match case.state {
            CaseState::Created(id) | CaseState::Adopted(id) => Some((position, id)),
            CaseState::Waiting | CaseState::Claimed | CaseState::Refused(_) | CaseState::Lost => None,
        })
    }

    /// Those of them that are in an account.
    pub fn arrived_at(&self, account: &str) -> impl Iterator<Item = (usize, u64)> {
        let is_there = move |target: usize| self.targets.get(target).is_some_and(|target| target.account == account);
        self.arrived().filter(move |(position, _)| is_there(self.cases[*position].target))
    }

    /// Ids of the rows that are told to stand for cases once more.
    pub fn known_duplicates(&self) -> impl Iterator<Item = u64> {
        self.cases.iter().flat_map(|case| &case.duplicates).copied()
    }

    /// Notes rows that stand for cases once more, by position. It goes with another change, which raises the epoch.
    pub fn duplicated(&mut self, duplicates: &[(usize, u64)]) {
        for &(position, id) in duplicates {
            self.cases[position].duplicates.push(id);
        }
    }

    /// Records that Testmo was looked at once more after all had arrived: what turns up later is not noticed.
    pub fn late_checked(&mut self) {
        self.late_since = None;
        self.epoch += 1;
    }

    fn resolve_if_clear(&mut self) {
        if self.cases.iter().all(|case| case.state != CaseState::Claimed) {
            self.open_push = None;
        }
        if self.unclear_cases().next().is_none() {
            self.doubt_since = None;
        }
    }

    /// Gives up every case that may stand in an account that is not the tenant's any more.
    pub fn give_up_unclear(&mut self) {
        let doubtful: Vec<usize> = self.unclear_cases().collect();
        for position in doubtful {
            let case = &mut self.cases[position];
            (case.state, case.doubt, case.suspicion) = (CaseState::Lost, false, None);
        }
        self.resolve_if_clear();
        self.epoch += 1;
    }

    /// Notes the terminal state that it reached at `now`, in milliseconds on the store's clock.
    pub fn settle(&mut self, state: BatchState, now: i64) {
        self.state = state;
        self.settled_at = Some(now);
        self.epoch += 1;
    }

    /// Opens a settled batch again, because a person wants what did not arrive to be tried anew; tells whether there
    /// was a reason to. What is in Testmo stays. A lost case is looked for before it is pushed, if it was sent to
    /// `account`, the tenant's present one; elsewhere only the person could look.
    pub fn reopen(&mut self, account: Option<&str>) -> bool {
        match self.state {
            BatchState::Partial | BatchState::Failed => {}
            BatchState::Open | BatchState::Delivered | BatchState::Discarded | BatchState::Undone => return false,
        }
        for case in &mut self.cases {
            case.suspicion = None;
            match case.state {
                CaseState::Refused(_) => case.state = CaseState::Waiting,
                CaseState::Lost => {
                    let sent_to = self.targets.get(case.target).map(|target| target.account.as_str());
                    case.state = CaseState::Waiting;
                    case.doubt = account.is_none_or(|account| sent_to == Some(account));
                    self.doubt_since = Some(self.first_seen_at);
                }
                CaseState::Waiting | CaseState::Claimed | CaseState::Created(_) | CaseState::Adopted(_) => {}
            }
        }
        self.resolve_if_clear();
        self.state = BatchState::Open;
        self.settled_at = None;
        self.revision += 1;
        self.epoch += 1;
        true
    }

    /// Gives an open batch up at `now`, because a person wants it; tells whether it was open. No push of it may be
    /// under way; whether one that has ended created its cases is never found out.
    pub fn discard(&mut self, now: i64) -> bool {
        if self.state != BatchState::Open {
            return false;
        }
        for case in self.cases.iter_mut().filter(|case| case.state == CaseState::Claimed) {
            (case.state, case.doubt) = (CaseState::Waiting, true);
        }
        self.open_push = None;
        self.state = BatchState::Discarded;
        self.settled_at = Some(now);
        self.revision += 1;
        self.epoch += 1;
        true
    }

    /// The terminal state that the cases make, or `None` while one is open.
    pub fn outcome(&self) -> Option<BatchState> {
        let (mut arrived, mut not) = (0, 0);
        for case in &self.cases {
            match case.state {
                CaseState::Waiting | CaseState::Claimed => return None,
                CaseState::Created(_) | CaseState::Adopted(_) => arrived += 1,
                CaseState::Refused(_) | CaseState::Lost => not += 1,
            }
        }
        Some(match (arrived, not) {
            (_, 0) => BatchState::Delivered,
            (0, _) => BatchState::Failed,
            (_, _) => BatchState::Partial,
        })
    }
}

impl BatchState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::Delivered, Self::Partial, Self::Failed, Self::Discarded, Self::Undone];

    /// The word that the store and people use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Delivered => "delivered",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
            Self::Undone => "undone",
        }
    }
}

impl std::str::FromStr for BatchState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.name() == text);
        found.ok_or_else(|| format!("`{text}` is not a batch state"))
    }
}
