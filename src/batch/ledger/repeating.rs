//! Records what a batch does with cases that an earlier batch wrote into Testmo.

use super::{BatchRecord, CaseRecord, CaseState, Change, PreviousCase, Refusal, Repeat};

impl CaseRecord {
    /// Returns the id of the case of an earlier batch that this one stands for, if that is known.
    pub fn repeated_id(&self) -> Option<u64> {
        self.previous.as_ref().filter(|_| self.state.repeat().is_some()).map(|previous| previous.id)
    }

    /// Returns whether a request that writes its fields is under way, or has an unknown outcome.
    pub fn is_writing(&self) -> bool {
        self.state.repeat().is_some_and(|repeat| repeat.change == Change::Writing)
    }
}

impl BatchRecord {
    /// Returns the positions of the cases of which nobody has decided yet whether an earlier batch wrote them: nothing of
    /// them was sent, or the outcome of writing their fields is unknown.
    pub fn undecided(&self) -> impl Iterator<Item = usize> {
        self.positions(|case| (case.state == CaseState::Waiting && !case.unclear) || case.is_writing())
    }

    /// Returns the ids of the cases in Testmo that are known of the batch: those that it created, and those of earlier
    /// batches that it stands for.
    pub fn known_ids(&self) -> impl Iterator<Item = u64> {
        self.arrived().map(|(_, id)| id).chain(self.cases.iter().filter_map(CaseRecord::repeated_id))
    }

    /// Records what is or was done with cases that exist, by position.
    pub fn repeats(&mut self, repeats: Vec<(usize, Option<PreviousCase>, Repeat)>) {
        for (position, previous, repeat) in repeats {
            let case = &mut self.cases[position];
            case.state = CaseState::Repeated(Box::new(repeat));
            case.previous = previous.map(Box::new);
        }
        self.epoch += 1;
    }

    /// Records that nothing was written of these cases: they are decided again.
    pub fn not_written(&mut self, positions: &[usize]) {
        for &position in positions {
            let case = &mut self.cases[position];
            if case.is_writing() {
                case.state = CaseState::Waiting;
            }
        }
        self.epoch += 1;
    }

    /// Records that Testmo refused to write fields of a case.
    pub fn write_refused(&mut self, position: usize, refusal: Refusal) {
        self.cases[position].state = CaseState::Refused(Box::new(refusal));
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::ledger::{BatchState, KeptText};

    fn record() -> BatchRecord {
        BatchRecord::fresh("t/b".parse().unwrap(), "1:x".into(), (1..=3).map(|n| format!("TC-{n}")))
    }

    fn previous(id: u64) -> Option<PreviousCase> {
        Some(PreviousCase { batch: Some("a".into()), id, folder: 2 })
    }

    #[test]
    fn a_batch_is_delivered_once_nothing_is_left_to_do_for_its_cases() {
        let mut record = record();
        record.repeats(vec![
            (0, previous(7), Repeat::only(Change::Writing)),
            (1, previous(8), Repeat::only(Change::Kept)),
            (2, None, Repeat::only(Change::Superseded)),
        ]);
        assert_eq!((record.outcome(), record.undecided().collect::<Vec<_>>()), (None, vec![0]));
        assert_eq!(record.known_ids().collect::<Vec<_>>(), [7, 8]);
        assert_eq!(record.cases.iter().map(|case| case.state.is_settled()).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!((record.arrived().count(), record.waiting().count(), record.unclear_cases().count()), (0, 0, 0));
        record.repeats(vec![(0, previous(7), Repeat::only(Change::Updated))]);
        assert_eq!((record.outcome(), record.undecided().count()), (Some(BatchState::Delivered), 0));
    }

    #[test]
    fn what_was_not_written_is_decided_again_and_what_was_refused_is_not() {
        let mut record = record();
        let writing = |position| (position, previous(position as u64 + 7), Repeat::only(Change::Writing));
        record.repeats((0..3).map(writing).collect());
        record.not_written(&[0]);
        record.write_refused(1, Refusal { reason: crate::batch::Reason::CaseRefused, said: vec![] });
        record.not_written(&[1]);
        assert_eq!(record.undecided().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(record.waiting().collect::<Vec<_>>(), [0]);
        record.repeats(vec![
            (2, previous(9), Repeat::only(Change::Updated)),
            (0, previous(7), Repeat::only(Change::Kept)),
        ]);
        record.settle(BatchState::Partial, 5);
        assert!(record.reopen(None));
        assert_eq!(record.undecided().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_record_is_read_back_as_it_was_stored() {
        let kept = KeptText { column: "name".into(), generated: "a".into(), shown: None };
        let repeat = Repeat { change: Change::Updated, written: vec!["tags".into()], kept: vec![kept] };
        let case = CaseRecord { state: CaseState::Repeated(Box::new(repeat)), ..record().cases[0].clone() };
        let text = serde_json::to_string(&case).unwrap();
        assert_eq!(serde_json::from_str::<CaseRecord>(&text).unwrap(), case);
    }
}
