//! Opens the record of a batch of which nothing was sent: its faulty cases are refused from the start.

use crate::batch::excerpt;
use crate::batch::ledger::{BatchRecord, CaseState, Refusal};
use crate::batch::message::{Batch, Faulty};
use crate::batch::verdict::answer::FieldRefusal;
use crate::batch::verdict::reason::Reason;
use crate::batch::written::source_name;

/// The most characters of each text about a fault that the record keeps.
const LONGEST_TEXT: usize = 300;

impl BatchRecord {
    /// Returns the record of a batch that no push was ever claimed for.
    pub fn of_batch(batch: &Batch, fingerprint: String) -> Self {
        let mut record = Self::fresh(batch.key.clone(), fingerprint, batch.case_keys());
        record.source = Some(source_name(batch.source.key.as_deref(), &batch.key.batch).into_owned());
        for (case, record) in batch.cases.iter().zip(&mut record.cases) {
            if let Some(faulty) = &case.faulty {
                record.state = CaseState::Refused(Box::new(refusal(faulty)));
            }
        }
        record
    }

    /// Returns the record as it was before the first push.
    pub fn restarted(&self) -> Self {
        let keys = self.cases.iter().map(|case| case.key.clone());
        let fresh = Self::fresh(self.key.clone(), self.fingerprint.clone(), keys);
        let mut record = Self { revision: self.revision, earlier: self.earlier.clone(), ..fresh };
        (record.published_at, record.arrived_at) = (self.published_at, self.arrived_at);
        record.source.clone_from(&self.source);
        record.replaced.clone_from(&self.replaced);
        record.trace.clone_from(&self.trace);
        for (before, case) in self.cases.iter().zip(&mut record.cases) {
            if before.state.is_invalid() {
                case.state = before.state.clone();
            }
        }
        record
    }
}

/// Returns the faults of a case with their places, as what was said about fields.
pub(super) fn refusal(faulty: &Faulty) -> Refusal {
    let one = |place: &str, text: &str| FieldRefusal {
        field: excerpt(place, LONGEST_TEXT),
        message: excerpt(text, LONGEST_TEXT),
    };
    let mut said: Vec<FieldRefusal> =
        faulty.faults.iter().map(|fault| one(&fault.pointer, &format!("{}: {}", fault.what, fault.remedy))).collect();
    if faulty.more > 0 {
        said.push(one("", &format!("has {} more faults: run testmo-courier lint for all of them", faulty.more)));
    }
    Refusal { reason: Reason::CaseInvalid, said }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::batch::ledger::BatchState;
    use crate::batch::message::decode::decode;

    fn batch() -> Batch {
        let message = json!({"schema_version": 1, "batch_id": "b-1", "tenant_id": "acme",
            "generated_at": "2026-11-23T09:30:00Z",
            "cases": [{"name": "a"}, {"a": 1, "b": 2, "c": 3, "d": 4, "external_id": "X"}, {"name": "c"}]});
        decode(message.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_faulty_case_is_refused_from_the_start_with_its_places() {
        let record = BatchRecord::of_batch(&batch(), "1:x".into());
        assert_eq!(record.next_up(), [0, 2]);
        let CaseState::Refused(refusal) = &record.cases[1].state else { panic!("{record:?}") };
        let fields: Vec<&str> = refusal.said.iter().map(|said| said.field.as_str()).collect();
        assert_eq!((record.cases[1].key.as_str(), refusal.reason), ("X", Reason::CaseInvalid));
        assert_eq!(fields, ["/cases/1/a", "/cases/1/b", "/cases/1/c", ""]);
        assert!(refusal.said[0].message.starts_with("is not a known key: "), "{refusal:?}");
        assert!(refusal.said[3].message.starts_with("has 2 more faults"), "{refusal:?}");
    }

    #[test]
    fn a_case_that_is_faulty_is_never_sent_however_often_the_batch_is_tried_again() {
        let mut record = BatchRecord::of_batch(&batch(), "1:x".into());
        let fresh = record.clone();
        record.created(&[(0, 5)]);
        assert_eq!(record.restarted(), fresh);
        record.cases[2].state = CaseState::Refused(Box::new(Refusal { reason: Reason::CaseRefused, said: vec![] }));
        record.settle(BatchState::Partial, 9);
        assert!(record.reopen(None));
        assert_eq!(record.next_up(), [2]);
        record.created(&[(2, 6)]);
        record.settle(BatchState::Partial, 9);
        let settled = record.clone();
        assert!(!record.reopen(None), "nothing is left to try");
        assert_eq!(record, settled);
    }
}
