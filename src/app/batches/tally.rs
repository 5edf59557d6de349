//! Counts the cases of a batch by what became of them, and links those that are in Testmo.

use crate::batch::event::link;
use crate::batch::ledger::{BatchRecord, BatchState, CaseRecord, CaseState, Change};

/// How many cases of a batch are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// In Testmo.
    pub created: usize,
    /// Written into cases of earlier batches.
    pub updated: usize,
    /// Left as they are, as earlier batches wrote them.
    pub left: usize,
    /// Refused by Testmo.
    pub refused: usize,
    /// Possibly created.
    pub unclear: usize,
    /// Not sent yet.
    pub waiting: usize,
    /// Never sent, and the batch is finished.
    pub not_sent: usize,
}

impl Tally {
    /// Counts the cases of a batch.
    pub fn of(record: &BatchRecord) -> Self {
        let mut tally = Self::default();
        for case in &record.cases {
            match case.state {
                CaseState::Created(_) | CaseState::Adopted(_) => tally.created += 1,
                CaseState::Repeated(ref repeat) => match repeat.change {
                    Change::Writing => tally.unclear += 1,
                    Change::Updated => tally.updated += 1,
                    Change::Unchanged
                    | Change::Kept
                    | Change::OtherTemplate
                    | Change::Unreadable
                    | Change::Skipped
                    | Change::Superseded
                    | Change::NotFound => tally.left += 1,
                },
                CaseState::Refused(_) => tally.refused += 1,
                CaseState::Claimed | CaseState::Lost => tally.unclear += 1,
                CaseState::Waiting if case.unclear => tally.unclear += 1,
                CaseState::Waiting if record.state != BatchState::Open => tally.not_sent += 1,
                CaseState::Waiting => tally.waiting += 1,
            }
        }
        tally
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            (self.created, "created"),
            (self.updated, "updated"),
            (self.left, "left as they are"),
            (self.refused, "refused"),
            (self.unclear, "unclear"),
            (self.waiting, "waiting"),
            (self.not_sent, "not sent"),
        ];
        let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        f.write_str(&parts.join(", "))
    }
}

/// Returns the addresses of the cases that are in Testmo, in order.
pub fn links(record: &BatchRecord) -> impl Iterator<Item = String> {
    let link_of = |(index, case)| testmo_id(case).and_then(|id| link(record, index, id));
    record.cases.iter().enumerate().filter_map(link_of)
}

/// Returns the id of a case that is in Testmo, whichever batch wrote it.
pub fn testmo_id(case: &CaseRecord) -> Option<u64> {
    match &case.state {
        CaseState::Created(id) | CaseState::Adopted(id) => Some(*id),
        CaseState::Repeated(_) => case.repeated_id(),
        CaseState::Waiting | CaseState::Claimed | CaseState::Refused(_) | CaseState::Lost => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_of_a_discarded_batch_do_not_wait() {
        let keys = ["TC-1".to_owned(), "TC-2".to_owned()];
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), keys);
        assert_eq!(Tally::of(&record).to_string(), "2 waiting");
        record.state = BatchState::Discarded;
        assert_eq!(Tally::of(&record).to_string(), "2 not sent");
        record.cases[1].unclear = true;
        assert_eq!(Tally::of(&record).to_string(), "1 unclear, 1 not sent");
    }
}
