//! Holds the result of reading the cases of folders.

use crate::batch::ledger::reconcile::Row;

/// The result of reading the cases of a folder.
#[derive(Clone, Debug)]
pub struct CaseList {
    /// The rows that were read: all that are not in the past, and some that are.
    pub rows: Vec<Row>,
    /// Cases created before this time are in the past by their time of creation, in milliseconds since 1970 on Testmo's
    /// clock.
    pub since: i64,
    /// Whether the list came newest first, as requested.
    pub descends: bool,
    /// The number of requests that the reading took.
    pub requests: u32,
}

impl CaseList {
    /// Returns the cases of this list and of that of another folder.
    pub fn with(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        Self {
            rows: self.rows,
            since: self.since.min(other.since),
            descends: self.descends && other.descends,
            requests: self.requests + other.requests,
        }
    }
}
