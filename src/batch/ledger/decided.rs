//! Changes the record of a finished batch when a person decides which rows of Testmo its missing cases are.

use super::{BatchRecord, BatchState, CaseState};

impl BatchRecord {
    /// Records for cases that are not found in Testmo, by position, which row each of them is, and which of them are not in
    /// Testmo, so that a replay creates these. Returns whether the batch has a new outcome; while a case waits for a replay it
    /// has none.
    ///
    /// A case that may be in Testmo for another reason, or that a person has decided about before, stays as it is.
    pub fn decide(&mut self, adopted: &[(usize, u64)], missing: &[usize], now: i64) -> bool {
        let is_lost = |record: &Self, at: usize| record.cases.get(at).is_some_and(|case| case.state == CaseState::Lost);
        let mut has_adopted = false;
        for &(at, id) in adopted {
            if is_lost(self, at) {
                self.cases[at].state = CaseState::Adopted(id);
                has_adopted = true;
            }
        }
        for &at in missing {
            if is_lost(self, at) {
                self.cases[at].state = CaseState::Waiting;
            }
        }
        for &at in adopted.iter().map(|(at, _)| at).chain(missing) {
            if let Some(case) = self.cases.get_mut(at) {
                (case.unclear, case.suspicion) = (false, None);
            }
        }
        self.epoch += 1;
        let is_finished = matches!(self.state, BatchState::Partial | BatchState::Failed);
        match self.outcome().filter(|_| has_adopted && is_finished) {
            Some(outcome) => {
                self.state = outcome;
                self.settled_at = Some(now);
                self.revision += 1;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(states: &[CaseState], state: BatchState) -> BatchRecord {
        let keys = (1..=states.len()).map(|n| format!("#{n}"));
        let mut record = BatchRecord::fresh("acme/b".parse().unwrap(), "1:x".into(), keys);
        for (case, state) in record.cases.iter_mut().zip(states) {
            case.state = state.clone();
        }
        BatchRecord { state, settled_at: Some(1), ..record }
    }

    #[test]
    fn what_a_person_decides_finishes_the_batch_or_leaves_it_to_a_replay() {
        use BatchState::{Delivered, Failed, Partial};
        use CaseState::{Adopted, Created, Lost, Waiting};
        type Decided<'a> = (&'a [(usize, u64)], &'a [usize]);
        type Line<'a> = (&'a [CaseState], BatchState, Decided<'a>, &'a [CaseState], BatchState, bool);
        let table: [Line<'_>; 6] = [
            (&[Created(1), Lost], Partial, (&[(1, 9)], &[]), &[Created(1), Adopted(9)], Delivered, true),
            (&[Lost, Lost], Failed, (&[(0, 8)], &[]), &[Adopted(8), Lost], Partial, true),
            (&[Created(1), Lost], Partial, (&[], &[1]), &[Created(1), Waiting], Partial, false),
            (&[Lost, Lost], Failed, (&[(0, 8)], &[1]), &[Adopted(8), Waiting], Failed, false),
            (&[Created(1), Waiting], Partial, (&[(1, 9)], &[0]), &[Created(1), Waiting], Partial, false),
            (&[Created(1), Lost], Partial, (&[(7, 9)], &[8]), &[Created(1), Lost], Partial, false),
        ];
        for (states, state, (adopted, missing), expected, becomes, is_new) in table {
            let mut record = record(states, state);
            assert_eq!(record.decide(adopted, missing, 5), is_new, "{states:?} {adopted:?} {missing:?}");
            let is: Vec<CaseState> = record.cases.iter().map(|case| case.state.clone()).collect();
            assert_eq!((&is[..], record.state), (expected, becomes));
            let changed = if is_new { (Some(5), 2) } else { (Some(1), 1) };
            assert_eq!(((record.settled_at, record.revision), record.epoch), (changed, 1));
        }
    }

    #[test]
    fn a_case_that_a_person_knows_to_be_missing_is_created_without_being_searched_for() {
        let mut record = record(&[CaseState::Created(1), CaseState::Lost], BatchState::Partial);
        record.decide(&[], &[1], 5);
        assert!(record.reopen(None));
        assert_eq!((record.next_up(), record.unclear_cases().count()), (vec![1], 0));
    }
}
