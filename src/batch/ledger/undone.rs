//! Changes the record of a batch when a person takes back what it did, or takes that back.

use super::{BatchRecord, BatchState, CaseState};

impl BatchRecord {
    /// Returns whether what the batch did can be taken back: it is finished, and no request of it has an unknown outcome.
    pub fn can_be_undone(&self) -> bool {
        matches!(self.state, BatchState::Delivered | BatchState::Partial | BatchState::Discarded)
            && self.open_push.is_none()
    }

    /// Returns whether what an undo left can be taken back, too.
    pub fn can_be_undone_again(&self) -> bool {
        self.state == BatchState::Undone && self.open_push.is_none()
    }

    /// Returns whether rows of an earlier request may still appear that a check to come finds.
    pub fn late_check_is_due(&self) -> bool {
        matches!(self.state, BatchState::Delivered | BatchState::Partial) && self.late_since.is_some()
    }

    /// Records at `now` that a person takes back what the batch did, before the first request: nothing more is sent for it.
    pub fn undo(&mut self, now: i64) {
        self.revision += 1;
        self.settle(BatchState::Undone, now);
    }

    /// Records at `now` that a person has taken back an undo: the batch is as it was before it.
    pub fn undo_undone(&mut self, before: BatchState, now: i64) {
        self.revision += 1;
        self.settle(before, now);
    }

    /// Records the ids of cases that were deleted and created again, by position, without raising the epoch: another change
    /// goes with it.
    pub fn created_again(&mut self, created: impl IntoIterator<Item = (usize, u64)>) {
        for (position, id) in created {
            self.cases[position].state = CaseState::Created(id);
        }
    }

    /// Records a step of an undo.
    pub fn undo_goes_on(&mut self) {
        self.epoch += 1;
    }

    /// Records that rows which duplicated cases are gone, without raising the epoch: another change goes with it.
    pub fn duplicates_are_gone(&mut self, ids: &[u64]) {
        for case in &mut self.cases {
            case.duplicates.retain(|id| !ids.contains(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::OpenPush;
    use crate::batch::ledger::Target;

    fn record(state: BatchState) -> BatchRecord {
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), ["TC-1".to_owned()]);
        record.settle(state, 5);
        record
    }

    #[test]
    fn only_a_finished_batch_of_which_something_can_be_in_testmo_is_undone() {
        for state in BatchState::ALL {
            let can = matches!(state, BatchState::Delivered | BatchState::Partial | BatchState::Discarded);
            assert_eq!(record(state).can_be_undone(), can, "{state:?}");
        }
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        assert!(!BatchRecord { open_push: Some(push), ..record(BatchState::Discarded) }.can_be_undone());
    }

    #[test]
    fn an_undone_batch_has_another_outcome_and_is_not_opened_again() {
        let mut record = record(BatchState::Partial);
        assert!(!record.late_check_is_due());
        record.late_since = Some(3);
        assert!(record.late_check_is_due());
        let (revision, epoch) = (record.revision, record.epoch);
        record.undo(9);
        assert_eq!((record.state, record.settled_at, record.late_check_is_due()), (BatchState::Undone, Some(9), false));
        assert!(!record.reopen(None) && !record.discard(9) && !record.restore());
        record.undo_goes_on();
        record.undo_undone(BatchState::Partial, 12);
        assert_eq!((record.state, record.revision - revision, record.epoch - epoch), (BatchState::Partial, 2, 3));
    }

    #[test]
    fn rows_that_are_gone_are_no_longer_known_as_duplicates() {
        let mut record = record(BatchState::Delivered);
        record.targets = vec![Target { account: "https://a".into(), project: 1, folder: 2 }];
        record.duplicated(&[(0, 20), (0, 21)]);
        record.duplicates_are_gone(&[20, 22]);
        assert_eq!(record.known_duplicates_at("https://a").collect::<Vec<_>>(), [21]);
    }
}
