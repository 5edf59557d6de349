//! Defines what a comparison with Testmo found.

use crate::batch::{BatchKey, TenantId};

/// What became of the cases of a tenant, or of one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The tenant.
    pub tenant: TenantId,
    /// The batches, in the order of their ids.
    pub batches: Vec<ComparedBatch>,
    /// What limits the comparison.
    pub notes: Vec<String>,
    /// When Testmo was read, in milliseconds since 1970.
    pub read_at: i64,
}

/// What became of the cases of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedBatch {
    /// Which batch it is.
    pub key: BatchKey,
    /// Its cases, in order.
    pub cases: Vec<ComparedCase>,
    /// Rows with its tag that stand for none of its cases.
    pub further: Vec<OtherRow>,
}

/// What became of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedCase {
    /// Its key in the batch.
    pub key: String,
    /// Its id in Testmo, as the ledger has it.
    pub id: Option<u64>,
    /// Its name in Testmo; `None` if it is not there.
    pub name: Option<String>,
    /// The address of the case in Testmo.
    pub link: Option<String>,
    /// What was found; the most important first.
    pub findings: Vec<Finding>,
    /// How it differs, if it does.
    pub differences: Option<Box<Differences>>,
}

/// What a comparison says of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// It was never delivered, so nothing is expected.
    NotDelivered,
    /// A person has taken back what its batch did, so nothing is expected of it.
    Undone,
    /// Its row is not in the project any more.
    Missing,
    /// Its row was not seen, and cases were removed while Testmo was read.
    NotSeen,
    /// A further row has its tag and name.
    Twice,
    /// Its row is in another folder.
    Moved,
    /// Fields have another content than was written.
    Changed,
    /// It may have been changed: Testmo tells of an edit, and what was written is not remembered, or not exactly.
    MaybeChanged,
    /// It is there once, as it was written.
    Once,
}

/// How a case differs from what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// Columns that were changed.
    pub changed: Vec<String>,
    /// Columns that may have been changed.
    pub unsure: Vec<String>,
    /// Who edited it last, as Testmo shows it.
    pub edited_by: Option<String>,
    /// When, in milliseconds since 1970, as Testmo shows it.
    pub edited_at: Option<i64>,
    /// The id of the folder that it is in now, if that is another one.
    pub folder: Option<u64>,
    /// Further rows of the case.
    pub others: Vec<OtherRow>,
}

/// A row that the ledger does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRow {
    /// Its id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Who created it, as Testmo shows it.
    pub created_by: Option<String>,
    /// Its address in Testmo.
    pub link: String,
}

impl Finding {
    /// Every finding.
    pub const ALL: [Self; 9] = [
        Self::NotDelivered,
        Self::Undone,
        Self::Missing,
        Self::NotSeen,
        Self::Twice,
        Self::Moved,
        Self::Changed,
        Self::MaybeChanged,
        Self::Once,
    ];

    /// Returns the word of the finding.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotDelivered => "not_delivered",
            Self::Undone => "undone",
            Self::Missing => "missing",
            Self::NotSeen => "not_seen",
            Self::Twice => "twice",
            Self::Moved => "moved",
            Self::Changed => "changed",
            Self::MaybeChanged => "maybe_changed",
            Self::Once => "once",
        }
    }
}

impl Comparison {
    /// Returns each case with its batch.
    pub fn cases(&self) -> impl Iterator<Item = (&ComparedBatch, &ComparedCase)> {
        self.batches.iter().flat_map(|batch| batch.cases.iter().map(move |case| (batch, case)))
    }

    /// Counts the cases by finding; a case with several counts with each.
    pub fn count(&self, finding: Finding) -> usize {
        self.cases().filter(|(_, case)| case.findings.contains(&finding)).count()
    }
}
