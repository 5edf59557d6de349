//! Changes the record of a batch after the store was restored from an older copy: by what Testmo shows of the batch.

use std::collections::HashMap;

use super::{BatchRecord, BatchState, CaseState, Target};
use crate::batch::restored::{REVISIONS_OF_A_RESTORE, Restored};

impl BatchRecord {
    /// Continues the numbers of outcomes above all that may have been published after the copy was made, so that no event
    /// id comes again with another body.
    pub fn continue_after(&mut self, restored: &Restored) {
        if self.state == BatchState::Open && self.restores < restored.times {
            self.revision = self.revision.max(restored.first_revision());
        }
    }

    /// Returns whether the next outcome is the first one that this store knows of.
    pub fn is_first_outcome(&self) -> bool {
        self.revision % REVISIONS_OF_A_RESTORE == 1
    }

    /// Returns the positions of the cases that may be in Testmo without a restored ledger knowing.
    pub fn forgotten_cases(&self) -> impl Iterator<Item = usize> {
        self.positions(|case| matches!(case.state, CaseState::Waiting | CaseState::Claimed))
    }

    /// Stores where the cases of a batch go that was never claimed in the copy, one target for each of its cases' places.
    pub fn goes_to(&mut self, cases: impl Iterator<Item = (usize, usize)>, targets: &[Target]) {
        if self.targets.is_empty() {
            self.targets.extend_from_slice(targets);
            cases.for_each(|(position, place)| self.cases[position].target = place);
        }
        self.epoch += 1;
    }

    /// Records what a look-up found: rows of cases, by position, and ids of further rows with the batch's own tag.
    ///
    /// Cases are sent in order. Those above the highest one that was found were never sent, and are sent now. Those below it
    /// were sent and are not there, so that only a person has them sent again. Where a row stands for no case, as a person
    /// has renamed it, and lies above all others, nobody knows how far the sending had come. The cases of the request that
    /// is open in the copy were created as a whole or not at all.
    pub fn looked_up(&mut self, found: &[(usize, u64)], further: &[u64], restored: &Restored) {
        let forgotten: Vec<usize> = self.forgotten_cases().collect();
        let ids: HashMap<usize, u64> = found.iter().copied().collect();
        let last = self.arrived().chain(found.iter().copied()).map(|(_, id)| id).max().unwrap_or(0);
        let is_renamed_above = further.iter().any(|id| *id > last && self.may_have_created(*id));
        let of_request = |record: &Self, position: usize| record.cases[position].state == CaseState::Claimed;
        let is_carried_out = found.iter().any(|(position, _)| of_request(self, *position))
            || self.open_push.as_ref().is_some_and(|push| push.committed);
        let highest = self.arrived().chain(found.iter().copied()).map(|(position, _)| position).max();
        let is_nothing_there = found.is_empty() && !is_carried_out && !is_renamed_above;
        if is_nothing_there && self.open_push.as_ref().is_some_and(|push| push.batch_tag.is_some()) {
            self.late_since = self.late_since.into_iter().chain(self.unclear_since).min();
        }
        for position in forgotten {
            let was_sent = highest.is_some_and(|highest| position < highest)
                || is_renamed_above
                || (is_carried_out && of_request(self, position));
            let case = &mut self.cases[position];
            let was_unclear = case.unclear || case.state == CaseState::Claimed;
            (case.state, case.unclear) = match ids.get(&position) {
                Some(id) => (CaseState::Adopted(*id), false),
                None if was_sent => (CaseState::Lost, false),
                None => (CaseState::Waiting, was_unclear),
            };
            if !matches!(case.state, CaseState::Waiting) {
                case.suspicion = None;
            }
        }
        self.take_into_account(restored);
    }

    /// Leaves every case of which nobody knows whether it is in Testmo to a person.
    pub fn ask_after_restore(&mut self, restored: &Restored) {
        let forgotten: Vec<usize> = self.forgotten_cases().collect();
        for position in forgotten {
            let case = &mut self.cases[position];
            (case.state, case.unclear, case.suspicion) = (CaseState::Lost, false, None);
        }
        self.take_into_account(restored);
    }

    /// Notes that a look-up found nothing of a batch that is not stored yet; its first claim stores that.
    pub fn looked_up_in_vain(&mut self, restored: &Restored) {
        self.continue_after(restored);
        self.restores = restored.times;
    }

    fn take_into_account(&mut self, restored: &Restored) {
        self.looked_up_in_vain(restored);
        self.resolve_if_clear();
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::ledger::OpenPush;

    const RESTORED: Restored = Restored { times: 2, latest_at: 0, until: 0, noted_at: 0 };

    fn target() -> Target {
        Target { account: "https://acme.testmo.net".into(), project: 1, folder: 7 }
    }

    /// Returns a batch of this many cases of which the first ones arrived, with the ids 1, 2 and so on.
    fn copied(cases: usize, arrived: usize) -> BatchRecord {
        let keys = (0..cases).map(|n| n.to_string());
        let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), keys);
        record.goes_to((0..cases).map(|position| (position, 0)), &[target()]);
        let ids: Vec<(usize, u64)> = (0..arrived).map(|position| (position, position as u64 + 1)).collect();
        record.created(&ids);
        record
    }

    /// Writes the states of cases as letters: created, adopted, lost, waiting.
    fn states(record: &BatchRecord) -> String {
        let letter = |case: &crate::batch::ledger::CaseRecord| match case.state {
            CaseState::Created(_) => 'c',
            CaseState::Adopted(_) => 'a',
            CaseState::Lost => 'l',
            CaseState::Waiting => 'w',
            CaseState::Claimed => 'o',
            CaseState::Refused(_) => 'r',
            CaseState::Repeated(_) => 'p',
        };
        record.cases.iter().map(letter).collect()
    }

    #[test]
    fn what_is_above_the_highest_row_is_sent_and_what_is_missing_below_is_left_to_a_person() {
        for (arrived, found, further, expected) in [
            (0, vec![], vec![], "wwwww"),
            (0, vec![(0, 10), (1, 11)], vec![], "aawww"),
            (0, vec![(0, 10), (2, 12)], vec![], "alaww"),
            (2, vec![(2, 12)], vec![], "ccaww"),
            (2, vec![], vec![], "ccwww"),
            (0, vec![(4, 14)], vec![], "lllla"),
            (0, vec![(0, 10), (2, 12)], vec![11], "alaww"),
            (0, vec![(0, 10)], vec![11], "allll"),
            (0, vec![], vec![11], "lllll"),
        ] {
            let mut record = copied(5, arrived);
            record.looked_up(&found, &further, &RESTORED);
            assert_eq!(states(&record), expected, "{arrived} {found:?} {further:?}");
            assert_eq!((record.restores, record.revision), (2, 2_001));
        }
    }

    #[test]
    fn a_request_that_was_open_in_the_copy_was_carried_out_whole_or_not_at_all() {
        let open = |committed| {
            let mut record = copied(5, 0);
            let tag = Some("sqai-1".to_owned());
            record.claim(
                &[0, 1, 2],
                OpenPush { id: "p".into(), connection: "v".into(), batch_tag: tag, committed },
                &target(),
            );
            record.unclear(50);
            record
        };
        let looked_up = |committed, found: &[(usize, u64)]| {
            let mut record = open(committed);
            record.looked_up(found, &[], &RESTORED);
            let unclear = record.unclear_cases().count();
            (states(&record), unclear, record.late_since, record.open_push.is_some())
        };
        assert_eq!(looked_up(false, &[(0, 9)]), ("allww".into(), 0, None, false));
        assert_eq!(looked_up(true, &[]), ("lllww".into(), 0, None, false));
        // It may still appear: each further try reconciles first, and late rows are reported.
        assert_eq!(looked_up(false, &[]), ("wwwww".into(), 3, Some(50), false));
    }

    #[test]
    fn a_copied_row_from_before_proves_nothing() {
        let mut record = copied(2, 0);
        record.floor = Some(20);
        record.looked_up(&[], &[15], &RESTORED);
        assert_eq!(states(&record), "ww");
    }

    #[test]
    fn without_a_tag_everything_that_may_have_been_sent_is_left_to_a_person() {
        let mut record = copied(4, 1);
        record.ask_after_restore(&RESTORED);
        assert_eq!((states(&record).as_str(), record.outcome()), ("clll", Some(BatchState::Partial)));
    }

    #[test]
    fn only_what_is_unfinished_continues_its_numbers_and_only_once() {
        let mut record = copied(1, 0);
        record.continue_after(&RESTORED);
        record.continue_after(&RESTORED);
        assert_eq!((record.revision, record.is_first_outcome()), (2_001, true));
        record.looked_up(&[], &[], &RESTORED);
        record.revision += 1;
        record.continue_after(&RESTORED);
        assert_eq!((record.revision, record.is_first_outcome()), (2_002, false));
        let mut settled = copied(1, 1);
        settled.settle(BatchState::Delivered, 5);
        settled.continue_after(&RESTORED);
        assert_eq!((settled.revision, settled.is_first_outcome()), (1, true));
    }

    proptest! {
        /// Whatever was delivered after the copy, in requests of any size and in order, and whatever a person has deleted or
        /// renamed since: a case that is in Testmo is never sent again, and one that was never sent is never given up, unless
        /// a renamed row hides how far the sending had come.
        #[test]
        fn nothing_is_sent_twice_and_nothing_is_lost(
            cases in 1_usize..12,
            arrived in 0_usize..12,
            sent in 0_usize..12,
            fate in prop::collection::vec(0_u8..4, 12),
        ) {
            let arrived = arrived.min(cases);
            let sent = sent.max(arrived).min(cases);
            let mut record = copied(cases, arrived);
            let (mut found, mut further, mut there) = (Vec::new(), Vec::new(), Vec::new());
            for (position, fate) in fate.iter().enumerate().take(sent).skip(arrived) {
                let id = 100 + position as u64;
                match fate {
                    0 => {}
                    1 => { further.push(id); there.push(position); }
                    _ => { found.push((position, id)); there.push(position); }
                }
            }
            record.looked_up(&found, &further, &RESTORED);
            for position in there {
                prop_assert!(record.cases[position].state != CaseState::Waiting, "{} is sent again", position);
            }
            let is_hidden = further.iter().max() > found.iter().map(|(_, id)| id).max();
            for position in sent..cases {
                prop_assert!(is_hidden || record.cases[position].state == CaseState::Waiting, "{} is lost", position);
            }
            prop_assert_eq!(record.revision, 2_001);
        }
    }
}
