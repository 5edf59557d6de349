//! Records what a batch does with cases that an earlier batch wrote into Testmo.

use super::{BatchRecord, CaseRecord, CaseState, Change, DropChange, PreviousCase, Refusal, Repeat, Target};

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

    /// Returns the positions of the cases whose fields a request of unknown outcome writes.
    pub fn writing(&self) -> impl Iterator<Item = usize> {
        self.positions(CaseRecord::is_writing)
    }

    /// Returns the ids of the cases in Testmo that are known of the batch in `account`: those that it created, and those of
    /// earlier batches that it stands for.
    pub fn known_ids_at(&self, account: &str) -> impl Iterator<Item = u64> {
        self.known_at(account).map(|(_, id)| id)
    }

    /// Returns the positions and ids of the cases in Testmo that are known of the batch in `account`.
    pub fn known_at(&self, account: &str) -> impl Iterator<Item = (usize, u64)> {
        let there = self.cases.iter().enumerate().filter(move |(_, case)| self.is_at(case.target, account));
        let repeated = there.filter_map(|(position, case)| Some((position, case.repeated_id()?)));
        self.arrived_at(account).chain(repeated)
    }

    /// Has the cases that are not decided go where the tenant's connection leads now: to one target for each place. In another
    /// account or project they are new; what a request may still do with them in the former one is not found out any more.
    pub fn goes_on_to(&mut self, place_of: impl Fn(usize) -> usize, targets: &[Target]) {
        let is_elsewhere = |before: &Target| targets.iter().any(|target| !before.is_beside(target));
        let has_moved = self.target().is_some_and(is_elsewhere);
        self.targets.extend_from_slice(targets);
        let first = self.targets.len() - targets.len();
        let undecided: Vec<usize> = self.undecided().collect();
        for position in undecided {
            let case = &mut self.cases[position];
            case.target = first + place_of(position);
            if has_moved {
                (case.state, case.previous) = (CaseState::Waiting, None);
            }
        }
        if has_moved {
            let writing = self.dropped.cases.iter_mut().filter(|case| case.change == DropChange::Writing);
            writing.for_each(|case| case.change = DropChange::NotFound);
        }
        self.epoch += 1;
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

    /// Returns whether the batch has certainly written fields of a case of an earlier batch in `account`, or retired it.
    pub fn has_changed(&self, account: &str, id: u64) -> bool {
        let is_updated = |position: usize| {
            self.cases[position].state.repeat().is_some_and(|repeat| repeat.change == Change::Updated)
        };
        self.known_at(account).any(|(position, known)| known == id && is_updated(position))
            || self.dropped_at(account).any(|case| case.id == id && case.change == DropChange::Retired)
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
    use crate::batch::ledger::DroppedCase;
    use crate::batch::ledger::{BatchState, KeptText};

    fn target(account: &str) -> Target {
        Target { account: account.into(), project: 1, folder: 2 }
    }

    fn record() -> BatchRecord {
        let record = BatchRecord::fresh("t/b".parse().unwrap(), "1:x".into(), (1..=3).map(|n| format!("TC-{n}")));
        BatchRecord { targets: vec![target("https://a")], ..record }
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
        assert_eq!(record.known_ids_at("https://a").collect::<Vec<_>>(), [7, 8]);
        assert_eq!(record.cases.iter().map(|case| case.state.is_settled()).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!((record.arrived().count(), record.waiting().count(), record.unclear_cases().count()), (0, 0, 0));
        record.repeats(vec![(0, previous(7), Repeat::only(Change::Updated))]);
        assert_eq!((record.outcome(), record.undecided().count()), (Some(BatchState::Delivered), 0));
    }

    #[test]
    fn what_is_not_decided_goes_on_to_another_account_as_new_and_ids_count_where_they_are() {
        let mut record = record();
        record.repeats(vec![
            (0, previous(7), Repeat::only(Change::Updated)),
            (1, previous(8), Repeat::only(Change::Writing)),
        ]);
        let dropped = |id, change| DroppedCase { id, folder: 2, batch: None, change, target: None };
        record.drops([dropped(20, DropChange::Retired), dropped(21, DropChange::Writing)]);
        record.goes_on_to(|_| 0, &[target("https://b")]);
        let at = |record: &BatchRecord, account: &str| record.known_ids_at(account).collect::<Vec<_>>();
        assert_eq!((at(&record, "https://a"), at(&record, "https://b")), (vec![7], vec![]));
        assert_eq!(record.cases.iter().map(|case| case.target).collect::<Vec<_>>(), [0, 1, 1]);
        assert_eq!((&record.cases[1].state, &record.cases[1].previous), (&CaseState::Waiting, &None));
        let changed = |id| (record.has_changed("https://a", id), record.has_changed("https://b", id));
        assert_eq!([7, 8, 20, 21].map(changed), [(true, false), (false, false), (true, false), (false, false)]);
        assert!(!record.is_writing(), "what is left of it in the former account is not found out");
        record.repeats(vec![(1, previous(7), Repeat::only(Change::Updated))]);
        assert_eq!((at(&record, "https://a"), at(&record, "https://b")), (vec![7], vec![7]));
        record.drops([dropped(20, DropChange::Left)]);
        let left: Vec<(u64, DropChange)> = record.dropped_at("https://b").map(|case| (case.id, case.change)).collect();
        assert_eq!(left, [(20, DropChange::Left)], "the same id is another case there");
        let accounts = record.dropped.cases.iter().map(|case| record.target_of_dropped(case).unwrap().account.as_str());
        assert_eq!(accounts.collect::<Vec<_>>(), ["https://a", "https://b", "https://a"]);
    }

    #[test]
    fn what_is_not_decided_stays_as_it_is_if_only_the_folder_is_another_one() {
        let mut record = record();
        record.repeats(vec![(0, previous(7), Repeat::only(Change::Writing))]);
        record.goes_on_to(|_| 0, &[Target { folder: 9, ..target("https://a") }]);
        assert_eq!((record.undecided().count(), record.is_writing(), record.cases[0].target), (3, true, 1));
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
