//! Changes the record of a batch when a person edits its message, and says which cases may be edited.

use super::opening::refusal;
use super::{BatchRecord, CaseState};
use crate::batch::message::{Batch, Places};
use crate::batch::written::source_name;

/// How a message stands to the record of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is what the record is about.
    Present,
    /// A person has edited it since: it is the same batch, and nothing is sent of this form of it.
    Earlier,
    /// It is another batch with the same id.
    Other,
}

/// Why a case cannot be edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseLock {
    /// It is in Testmo.
    InTestmo,
    /// It is part of a request.
    InRequest,
    /// It may be in Testmo.
    Unclear,
}

impl CaseLock {
    /// Returns the reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::InTestmo => "is in Testmo already",
            Self::InRequest => "is part of a request whose outcome is not known",
            Self::Unclear => "may be in Testmo already: its request had an unknown outcome",
        }
    }
}

impl BatchRecord {
    /// Returns how a message with this fingerprint stands to the record.
    pub fn standing(&self, fingerprint: &str) -> Standing {
        if self.fingerprint == fingerprint {
            Standing::Present
        } else if self.earlier.iter().any(|earlier| earlier == fingerprint) {
            Standing::Earlier
        } else {
            Standing::Other
        }
    }

    /// Returns why the case at a position cannot be edited; `None` if it can.
    pub fn lock_of(&self, position: usize) -> Option<CaseLock> {
        let case = self.cases.get(position)?;
        match case.state {
            CaseState::Repeated(_) if case.is_writing() => Some(CaseLock::InRequest),
            CaseState::Created(_) | CaseState::Adopted(_) | CaseState::Repeated(_) => Some(CaseLock::InTestmo),
            CaseState::Claimed => Some(CaseLock::InRequest),
            CaseState::Lost => Some(CaseLock::Unclear),
            CaseState::Waiting if case.unclear => Some(CaseLock::Unclear),
            CaseState::Waiting | CaseState::Refused(_) => None,
        }
    }

    /// Returns whether a case of the batch cannot be edited.
    pub fn has_locks(&self) -> bool {
        (0..self.cases.len()).any(|position| self.lock_of(position).is_some())
    }

    /// Returns whether rows of an earlier request may still appear: they are recognized by the names of the cases and by
    /// their folders.
    pub fn awaits_late_rows(&self) -> bool {
        self.late_since.is_some()
    }

    /// Records that the message `before` became `after`, which has this fingerprint and as many cases; `before` is
    /// accepted as the same batch from now on. An edited case waits to be sent, whatever it was refused for. The folders
    /// are found again if the cases request others.
    pub fn edit(&mut self, before: &Batch, after: &Batch, fingerprint: String) {
        let is_locked: Vec<bool> = (0..self.cases.len()).map(|at| self.lock_of(at).is_some()).collect();
        for (at, record) in self.cases.iter_mut().enumerate().filter(|(at, _)| !is_locked[*at]) {
            let (Some(was), Some(is)) = (before.cases.get(at), after.cases.get(at)) else { continue };
            if was == is {
                continue;
            }
            record.key = is.key(at);
            record.suspicion = None;
            record.state = match &is.faulty {
                Some(faulty) => CaseState::Refused(Box::new(refusal(faulty))),
                None => CaseState::Waiting,
            };
        }
        if Places::of(before).requested() != Places::of(after).requested() {
            self.targets.clear();
            self.cases.iter_mut().for_each(|case| case.target = 0);
        }
        if before.source.key != after.source.key || before.replaces != after.replaces {
            self.source = Some(source_name(after.source.key.as_deref(), &self.key.batch).into_owned());
            self.replaced = None;
        }
        if self.fingerprint != fingerprint {
            self.earlier.retain(|earlier| *earlier != fingerprint);
            self.earlier.push(std::mem::replace(&mut self.fingerprint, fingerprint));
        }
        self.epoch += 1;
    }

    /// Opens a batch again that a person gave up, at a person's request; returns whether it had been given up. Its cases
    /// are as they were.
    pub fn restore(&mut self) -> bool {
        if self.state != super::BatchState::Discarded || self.cases.is_empty() {
            return false;
        }
        self.state = super::BatchState::Open;
        self.settled_at = None;
        self.revision += 1;
        self.epoch += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::batch::fingerprint;
    use crate::batch::ledger::{BatchState, OpenPush, Refusal, Target};
    use crate::batch::message::decode::decode;
    use crate::batch::verdict::reason::Reason;

    fn batch(edit: impl FnOnce(&mut Value)) -> Batch {
        let mut message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "a"}, {"name": "b"}, {"name": "c"}]});
        edit(&mut message);
        decode(message.to_string().as_bytes()).unwrap()
    }

    fn refused(reason: Reason) -> CaseState {
        CaseState::Refused(Box::new(Refusal { reason, said: vec![] }))
    }

    fn record() -> BatchRecord {
        let before = batch(|_| ());
        BatchRecord::of_batch(&before, fingerprint(&before))
    }

    #[test]
    fn what_is_or_may_be_in_testmo_is_locked() {
        let table = [
            (CaseState::Waiting, false, None),
            (CaseState::Waiting, true, Some(CaseLock::Unclear)),
            (CaseState::Claimed, false, Some(CaseLock::InRequest)),
            (CaseState::Created(1), false, Some(CaseLock::InTestmo)),
            (CaseState::Adopted(1), false, Some(CaseLock::InTestmo)),
            (refused(Reason::CaseRefused), false, None),
            (refused(Reason::CaseInvalid), false, None),
            (CaseState::Lost, false, Some(CaseLock::Unclear)),
        ];
        for (state, unclear, lock) in table {
            let mut record = record();
            (record.cases[1].state, record.cases[1].unclear) = (state.clone(), unclear);
            assert_eq!((record.lock_of(1), record.has_locks()), (lock, lock.is_some()), "{state:?} {unclear}");
        }
        assert_eq!(record().lock_of(9), None);
    }

    #[test]
    fn an_edited_case_waits_and_each_earlier_message_is_the_same_batch() {
        let (before, mut record) = (batch(|_| ()), record());
        record.cases[0].state = CaseState::Created(5);
        record.cases[1].state = refused(Reason::CaseRefused);
        record.cases[2].state = refused(Reason::CaseRefused);
        record.settle(BatchState::Partial, 9);
        let epoch = record.epoch;
        let after = batch(|message| message["cases"][1]["tags"] = json!(["x"]));
        record.edit(&before, &after, fingerprint(&after));
        let states: Vec<CaseState> = record.cases.iter().map(|case| case.state.clone()).collect();
        assert_eq!(states, [CaseState::Created(5), CaseState::Waiting, refused(Reason::CaseRefused)]);
        assert_eq!((record.epoch, record.state), (epoch + 1, BatchState::Partial));
        let standing = |record: &BatchRecord, batch: &Batch| record.standing(&fingerprint(batch));
        assert_eq!(standing(&record, &after), Standing::Present);
        assert_eq!(standing(&record, &before), Standing::Earlier);
        let third = batch(|message| message["cases"][1]["tags"] = json!(["y"]));
        assert_eq!(standing(&record, &third), Standing::Other);
        record.edit(&after, &third, fingerprint(&third));
        assert_eq!([&before, &after].map(|batch| standing(&record, batch)), [Standing::Earlier; 2]);
        // Taken back, the first message is the present one again.
        record.edit(&third, &before, fingerprint(&before));
        assert_eq!(standing(&record, &before), Standing::Present);
        assert_eq!([&after, &third].map(|batch| standing(&record, batch)), [Standing::Earlier; 2]);
        assert_eq!(record.earlier.len(), 2);
    }

    #[test]
    fn a_faulty_case_that_is_corrected_can_be_sent_under_its_own_id() {
        let before = batch(|message| message["cases"][1] = json!({"name": "b", "external_id": "X", "x": 1}));
        let after = batch(|message| message["cases"][1] = json!({"name": "b", "external_id": "Y"}));
        let mut record = BatchRecord::of_batch(&before, fingerprint(&before));
        assert!(record.cases[1].state.is_invalid());
        record.edit(&before, &after, fingerprint(&after));
        assert_eq!((record.cases[1].key.as_str(), &record.cases[1].state), ("Y", &CaseState::Waiting));
    }

    #[test]
    fn folders_are_found_again_only_if_others_are_requested() {
        let target = Target { account: "https://a".into(), project: 1, folder: 2 };
        for (edit, is_kept) in [
            ((|message| message["folder_path"] = json!(["Other"])) as fn(&mut Value), false),
            (|message| message["cases"][0]["folder_path"] = json!(["Own"]), false),
            (|message| message["cases"][0]["name"] = json!("z"), true),
        ] {
            let (before, after, mut record) = (batch(|_| ()), batch(edit), record());
            let push =
                OpenPush { id: "p".into(), connection: "v".into(), batch_tag: Some("t".into()), committed: false };
            record.claim(&[0, 1, 2], push, &target);
            record.not_created(vec![]);
            record.edit(&before, &after, fingerprint(&after));
            assert_eq!(!record.targets.is_empty(), is_kept);
        }
    }

    #[test]
    fn a_batch_that_was_given_up_is_as_it_was_once_it_is_restored() {
        let mut record = record();
        record.cases[0].state = CaseState::Created(5);
        let before = record.clone();
        assert!(!record.restore(), "it is open");
        assert!(record.discard(9));
        assert!(record.restore());
        assert_eq!((record.state, record.settled_at, record.revision), (BatchState::Open, None, 3));
        assert_eq!(record.cases, before.cases);
        assert!(!record.restore(), "once");
        for state in [BatchState::Delivered, BatchState::Partial, BatchState::Failed, BatchState::Undone] {
            assert!(!BatchRecord { state, ..before.clone() }.restore(), "{state:?}");
        }
    }
}
