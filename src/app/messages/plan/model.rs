//! Defines what a batch would do with cases that earlier batches wrote.

use crate::batch::generation::count_requests;
use crate::batch::ledger::{Change, DropChange};
use crate::batch::message::{Case, OnRepeat};
use crate::testmo::MOST_UPDATED;

/// What a batch would do with cases that earlier batches wrote.
#[derive(Clone, Debug)]
pub struct GenerationPlan {
    /// What is done with cases that exist.
    pub mode: OnRepeat,
    /// The cases of the batch that are not faulty, in order.
    pub cases: Vec<PlannedCase>,
    /// The cases of its source that it does not have, by their ids.
    pub dropped: Vec<PlannedDrop>,
    /// How many requests the worker sends.
    pub requests: PlannedRequests,
    /// How many seconds that is expected to take, once it is the batch's turn.
    pub seconds: u64,
    /// What a person should know besides.
    pub notes: Vec<String>,
}

/// What becomes of a case of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCase {
    /// Its position from 1.
    pub position: usize,
    /// Its key within the batch.
    pub key: String,
    /// What becomes of it.
    pub what: Planned,
    /// The id of the case in Testmo, if it exists.
    pub testmo_id: Option<u64>,
    /// The address of the case in Testmo's web pages.
    pub link: Option<String>,
    /// The columns that are written.
    pub fields_written: Vec<String>,
    /// The columns that stay, as a person has edited them.
    pub fields_kept: Vec<String>,
}

/// What becomes of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Planned {
    /// It is created.
    New,
    /// It stays, as it has what the generator wrote.
    Same,
    /// Fields of it are written.
    Changed,
    /// It stays, as a person has edited it or it cannot be changed safely.
    Kept,
    /// It stays, as the batch only creates new cases.
    Skipped,
    /// Nothing is done, as a later generation was written before.
    Superseded,
    /// It is not found, and not created again.
    NotFound,
    /// A person decides.
    Waits,
}

/// What becomes of a case that the batch does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedDrop {
    /// Its id in Testmo.
    pub testmo_id: u64,
    /// Its address in Testmo's web pages.
    pub link: String,
    /// The id of the batch that wrote it, if that is known.
    pub batch_id: Option<String>,
    /// What becomes of it.
    pub what: DropChange,
}

/// How many requests the worker sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlannedRequests {
    /// Requests that read cases.
    pub reads: usize,
    /// Requests that create cases.
    pub creates: usize,
    /// Requests that write fields.
    pub updates: usize,
    /// Requests that retire or delete cases.
    pub removals: usize,
}

impl Planned {
    /// Every kind, as it is listed.
    pub const ALL: [Self; 8] = [
        Self::New,
        Self::Same,
        Self::Changed,
        Self::Kept,
        Self::Skipped,
        Self::Superseded,
        Self::NotFound,
        Self::Waits,
    ];

    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Kept => "kept",
            Self::Skipped => "skipped",
            Self::Superseded => "superseded",
            Self::NotFound => "not_found",
            Self::Waits => "waits",
        }
    }

    /// Returns what a case becomes of which nothing is written.
    pub(super) fn of(change: Change) -> Self {
        match change {
            Change::Writing | Change::Updated => Self::Changed,
            Change::Unchanged => Self::Same,
            Change::Kept | Change::OtherTemplate | Change::Unreadable => Self::Kept,
            Change::Skipped => Self::Skipped,
            Change::Superseded => Self::Superseded,
            Change::NotFound => Self::NotFound,
        }
    }
}

impl PlannedCase {
    /// Returns the case at an index as a new one.
    pub(super) fn new(index: usize, case: &Case) -> Self {
        Self {
            position: index + 1,
            key: case.key(index),
            what: Planned::New,
            testmo_id: None,
            link: None,
            fields_written: Vec::new(),
            fields_kept: Vec::new(),
        }
    }
}

impl GenerationPlan {
    /// Counts the cases of a kind.
    pub fn count(&self, what: Planned) -> usize {
        self.cases.iter().filter(|case| case.what == what).count()
    }
}

impl PlannedRequests {
    /// Returns the number of all requests.
    pub fn total(&self) -> usize {
        self.reads + self.creates + self.updates + self.removals
    }
}

/// Counts the requests for new cases, and for cases that share a request where their keys are equal.
pub(super) fn requests(
    reads: usize,
    creates: usize,
    updates: Vec<String>,
    removals: Vec<String>,
    most_created: usize,
) -> PlannedRequests {
    PlannedRequests {
        reads,
        creates: creates.div_ceil(most_created.max(1)),
        updates: count_requests(updates, MOST_UPDATED),
        removals: count_requests(removals, MOST_UPDATED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_as_the_worker_groups_them() {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let counted = requests(3, 101, keys(&["a", "b", "a"]), keys(&["delete"; 150]), 100);
        assert_eq!(counted, PlannedRequests { reads: 3, creates: 2, updates: 2, removals: 2 });
        assert_eq!((counted.total(), requests(0, 0, vec![], vec![], 100).total()), (9, 0));
    }

    #[test]
    fn what_the_worker_decides_has_a_word_in_the_plan() {
        for (change, expected) in [
            (Change::Unchanged, "same"),
            (Change::Updated, "changed"),
            (Change::Kept, "kept"),
            (Change::OtherTemplate, "kept"),
            (Change::Unreadable, "kept"),
            (Change::NotFound, "not_found"),
            (Change::Superseded, "superseded"),
        ] {
            assert_eq!(Planned::of(change).word(), expected);
        }
        assert_eq!(Planned::ALL.map(Planned::word).iter().collect::<std::collections::HashSet<_>>().len(), 8);
    }
}
