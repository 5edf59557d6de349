//! Halves a batch whose create requests are answered with a status that leaves their outcome unknown, until one case is
//! left.
//!
//! The findings are stored with each case, so that they survive the shelf, a crash and a change of worker.

use crate::batch::ledger::suspicion::Suspicion;
use crate::batch::ledger::{BatchRecord, CaseRecord, CaseState};
use crate::batch::verdict::tries_before_cause;

/// The most cases that are held back one after the other before the connection counts as the cause.
const MOST_HELD: usize = 6;

/// The result of halving the open push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halved {
    /// The cases continue in smaller requests, or the one case is held back until the others have an end.
    Done,
    /// The connection is the cause, not a case: otherwise every case, or one after the other, would be held back.
    Never,
}

impl CaseRecord {
    /// Returns the status of the answers to requests with this case alone, if the case is left to a person because of
    /// them.
    pub fn rejected_unclear(&self) -> Option<u16> {
        let left = self.state == CaseState::Lost;
        self.suspicion.as_ref().filter(|_| left).map(|suspicion| suspicion.status)
    }

    fn is_held(&self) -> bool {
        self.state == CaseState::Waiting && self.most() == Some(0)
    }

    fn most(&self) -> Option<usize> {
        self.suspicion.as_ref().and_then(|suspicion| suspicion.most)
    }
}

impl BatchRecord {
    /// Returns the positions of the cases that are still to be pushed, in order, without cases that are held back.
    pub fn waiting(&self) -> impl Iterator<Item = usize> {
        self.positions(|case| case.state == CaseState::Waiting && !case.is_held())
    }

    /// Returns the positions of the cases to work on next, in order: cases that are held back come only after the
    /// others.
    pub fn next_up(&self) -> Vec<usize> {
        let open: Vec<usize> = self.positions(|case| is_open(case) && !case.is_held()).collect();
        if open.is_empty() { self.positions(CaseRecord::is_held).collect() } else { open }
    }

    /// Returns how many of the next cases may go into a request of their own, apart from other batches; `None` for a
    /// batch that may be packed with others.
    pub fn apart(&self) -> Option<usize> {
        let up = self.next_up();
        let first = &self.cases[*up.first()?];
        if self.cases.iter().all(|case| !is_open(case) || case.suspicion.is_none()) {
            return None;
        }
        let is_alike =
            |case: &CaseRecord| case.suspicion.is_some() == first.suspicion.is_some() && case.most() == first.most();
        let alike = up.iter().take_while(|position| is_alike(&self.cases[**position])).count();
        Some(alike.min(first.most().unwrap_or(usize::MAX)).max(1))
    }

    /// Records that the open push was answered with a status that leaves its outcome unknown.
    /// [`unclear`](Self::unclear), which goes with it, raises the epoch.
    pub fn suspect(&mut self, status: u16) {
        for case in self.cases.iter_mut().filter(|case| case.state == CaseState::Claimed) {
            let known = case.suspicion.take();
            let known = known.map_or(Suspicion::new(status), |known| *known);
            case.suspicion = Some(Box::new(Suspicion { status, times: known.times.saturating_add(1), ..known }));
        }
    }

    /// Returns whether such answers came often enough to determine their cause.
    pub fn is_cause_due(&self) -> bool {
        let claimed: Vec<&CaseRecord> = self.cases.iter().filter(|case| case.state == CaseState::Claimed).collect();
        claimed.iter().all(|case| {
            case.suspicion.as_ref().is_some_and(|suspicion| {
                suspicion.last || suspicion.times >= tries_before_cause(claimed.len(), suspicion.most.is_some())
            })
        })
    }

    /// Halves the next requests of the open push's cases, because other requests to the connection are answered.
    pub fn halve(&mut self) -> Halved {
        let claimed: Vec<usize> = self.positions(|case| case.state == CaseState::Claimed).collect();
        if let [position] = claimed[..]
            && !self.may_hold(position)
        {
            return Halved::Never;
        }
        for position in &claimed {
            if let Some(suspicion) = &mut self.cases[*position].suspicion {
                (suspicion.most, suspicion.times) = (Some(claimed.len() / 2), 0);
            }
        }
        self.epoch += 1;
        Halved::Done
    }

    /// Returns whether a case may be held back. It may not if cases are being held back one after the other, or if no
    /// case of the batch was created, or is left to be sent, that would set this case apart from the rest.
    fn may_hold(&self, position: usize) -> bool {
        let is = |case: &CaseRecord, of: fn(&Suspicion) -> bool| case.suspicion.as_deref().is_some_and(of);
        let case = &self.cases[position];
        let held = self.cases.iter().filter(|case| case.is_held() && !is(case, |known| known.passed)).count();
        let others = self.cases.iter().filter(|case| case.state == CaseState::Waiting && !case.is_held());
        let tells = is(case, |known| known.proven) || others.count() > 0;
        is(case, |known| known.last) || (held < MOST_HELD && (held == 0 || tells))
    }

    /// Clears the findings about open cases: these cases were not the cause.
    pub fn absolve(&mut self) {
        self.cases.iter_mut().filter(|case| is_open(case)).for_each(|case| case.suspicion = None);
        self.epoch += 1;
    }

    /// Continues with the cases that are held back, once every other case has an end and Testmo was reconciled. Each
    /// case is sent alone one last time; after that, a case that is not in Testmo is left to a person. Returns whether
    /// cases were left to a person now.
    pub fn release_held(&mut self) -> bool {
        if self.cases.iter().any(|case| is_open(case) && !case.is_held()) {
            return false;
        }
        let mut given_up = false;
        for case in self.cases.iter_mut().filter(|case| case.is_held()) {
            let Some(suspicion) = &mut case.suspicion else { continue };
            if suspicion.last {
                (case.state, case.unclear, given_up) = (CaseState::Lost, false, true);
            } else {
                (suspicion.most, suspicion.last) = (Some(1), true);
            }
        }
        if given_up {
            self.resolve_if_clear();
            self.epoch += 1;
        }
        given_up
    }

    /// Records that cases of the batch were created: what keeps the others back is not the connection.
    pub(super) fn prove(&mut self) {
        for case in self.cases.iter_mut().filter(|case| is_open(case)) {
            let is_held = case.is_held();
            if let Some(suspicion) = &mut case.suspicion {
                (suspicion.proven, suspicion.passed) = (true, suspicion.passed || is_held);
            }
        }
    }
}

/// Returns whether a case has no end yet.
fn is_open(case: &CaseRecord) -> bool {
    matches!(case.state, CaseState::Waiting | CaseState::Claimed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::ledger::{BatchState, OpenPush, Target};

    fn record(cases: usize) -> BatchRecord {
        BatchRecord::fresh("t/b".parse().unwrap(), "1:x".into(), (0..cases).map(|n| format!("#{n}")))
    }

    /// Sends the next cases, and returns their positions.
    fn send(record: &mut BatchRecord, most: usize) -> Vec<usize> {
        let count = record.apart().unwrap_or(usize::MAX).min(most);
        let positions: Vec<usize> = record.waiting().take(count).collect();
        let target = Target { account: "https://a.testmo.net".into(), project: 1, folder: 2 };
        let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
        record.claim(&positions, push, &target);
        positions
    }

    /// Works on a batch until each case has an end or the connection is the cause; returns every request, and whether
    /// it was answered with 408.
    fn work(record: &mut BatchRecord, is_bad: impl Fn(usize) -> bool) -> (Vec<(Vec<usize>, bool)>, Halved) {
        let mut requests = Vec::new();
        while record.outcome().is_none() {
            assert!(requests.len() < 1_000, "it has no end");
            // The reconciliation before each further try finds nothing.
            record.reconciled(&[], false);
            if record.release_held() && record.outcome().is_some() {
                break;
            }
            let sent = send(record, 100);
            let refused = sent.iter().any(|at| is_bad(*at));
            requests.push((sent.clone(), refused));
            if refused {
                record.suspect(408);
                record.unclear(5);
                if record.is_cause_due() && record.halve() == Halved::Never {
                    return (requests, Halved::Never);
                }
            } else {
                let ids: Vec<(usize, u64)> = sent.iter().map(|at| (*at, *at as u64 + 10)).collect();
                record.created(&ids);
            }
        }
        (requests, Halved::Done)
    }

    #[test]
    fn a_batch_is_halved_until_one_case_is_left_which_goes_alone_once_more_in_the_end() {
        let mut record = record(4);
        let (requests, halved) = work(&mut record, |at| at == 1);
        let expected: [(&[usize], bool); 10] = [
            (&[0, 1, 2, 3], true),
            (&[0, 1, 2, 3], true),
            (&[0, 1, 2, 3], true),
            (&[0, 1], true),
            (&[0], false),
            (&[1], true),
            (&[1], true),
            (&[2, 3], false),
            (&[1], true),
            (&[], false),
        ];
        let expected: Vec<_> = expected.into_iter().filter(|(sent, _)| !sent.is_empty()).collect();
        assert_eq!(requests, expected.into_iter().map(|(sent, bad)| (sent.to_vec(), bad)).collect::<Vec<_>>());
        assert_eq!((halved, record.outcome()), (Halved::Done, Some(BatchState::Partial)));
        let left: Vec<_> = record.cases.iter().map(CaseRecord::rejected_unclear).collect();
        assert_eq!(left, [None, Some(408), None, None]);
        assert_eq!((record.open_push, record.unclear_since), (None, None));
    }

    #[test]
    fn a_case_that_goes_through_in_the_end_is_created() {
        let mut record = record(1);
        for _ in 0..3 {
            send(&mut record, 100);
            record.suspect(408);
            record.unclear(5);
            record.reconciled(&[], false);
        }
        record.cases[0].suspicion.as_mut().unwrap().most = Some(0);
        assert!(!record.release_held());
        send(&mut record, 100);
        record.created(&[(0, 7)]);
        assert_eq!((record.outcome(), &record.cases[0].suspicion), (Some(BatchState::Delivered), &None));
    }

    #[test]
    fn a_case_that_is_found_after_its_last_try_is_not_left_to_a_person() {
        let mut record = record(1);
        send(&mut record, 100);
        record.cases[0].suspicion = Some(Box::new(Suspicion { most: Some(0), last: true, ..Suspicion::new(408) }));
        record.unclear(5);
        record.reconciled(&[(0, 7)], false);
        assert!(!record.release_held());
        assert_eq!((record.outcome(), record.cases[0].rejected_unclear()), (Some(BatchState::Delivered), None));
    }

    #[test]
    fn where_every_request_is_answered_so_it_is_the_connection_and_no_case_is_left_to_a_person() {
        for cases in 2..40 {
            let mut record = record(cases);
            let (requests, halved) = work(&mut record, |_| true);
            assert_eq!(halved, Halved::Never, "{cases}");
            assert!(requests.len() <= 40, "{} requests", requests.len());
            record.absolve();
            record.reconciled(&[], false);
            assert_eq!(record.apart(), None);
            assert_eq!(record.waiting().count(), cases);
            assert_eq!(record.unclear_cases().count(), cases, "they are looked for all the same");
        }
    }

    #[test]
    fn what_is_known_survives_being_stored() {
        let mut record = record(3);
        for _ in 0..3 {
            send(&mut record, 100);
            record.suspect(408);
            record.unclear(5);
            record.reconciled(&[], false);
        }
        let text = serde_json::to_string(&record.cases).unwrap();
        assert_eq!(serde_json::from_str::<Vec<CaseRecord>>(&text).unwrap(), record.cases);
        let before = r#"{"k":"TC-1","s":"waiting","d":true}"#;
        assert_eq!(serde_json::from_str::<CaseRecord>(before).unwrap().suspicion, None);
    }

    proptest! {
        #[test]
        fn every_bad_case_is_left_to_a_person_and_every_other_one_is_created_once(
            cases in 1usize..150, bad in proptest::collection::btree_set(0usize..150, 1..MOST_HELD),
        ) {
            let bad: Vec<usize> = bad.into_iter().filter(|at| *at < cases).collect();
            prop_assume!(bad.len() < cases || cases == 1);
            let mut record = record(cases);
            let (requests, halved) = work(&mut record, |at| bad.contains(&at));
            prop_assert_eq!(halved, Halved::Done);
            for (at, case) in record.cases.iter().enumerate() {
                prop_assert_eq!(case.rejected_unclear().is_some(), bad.contains(&at), "{}", at);
                let created = requests.iter().filter(|(sent, refused)| !refused && sent.contains(&at)).count();
                prop_assert_eq!(created, usize::from(!bad.contains(&at)));
                let alone = requests.iter().filter(|(sent, refused)| *refused && *sent == [at]).count();
                prop_assert!(!bad.contains(&at) || alone >= 3, "{} answers to {}", alone, at);
            }
        }
    }
}
