//! Checks what a customer reads of each state of a batch.

use serde_json::json;

use super::super::super::fixture::{own, record, stored};
use super::*;
use crate::app::shelf::Pauses;
use crate::batch::Reason;
use crate::batch::ledger::{OpenPush, Refusal, Target};
use crate::batch::verdict::answer::FieldRefusal;
use crate::store::history::History;

/// The states with the number of cases in Testmo, of two.
const STATES: [(BatchState, usize); 7] = [
    (BatchState::Open, 1),
    (BatchState::Delivered, 2),
    (BatchState::Partial, 1),
    (BatchState::Failed, 0),
    (BatchState::Discarded, 1),
    (BatchState::Discarded, 0),
    (BatchState::Undone, 0),
];

/// Returns a batch of two cases, of which the first ones are in Testmo and the others were refused.
fn with_cases(state: BatchState, there: usize) -> BatchRecord {
    let mut record = record(state);
    let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
    record.claim(&[0, 1], push, &Target { account: "https://acme.testmo.net".into(), project: 1, folder: 2 });
    record.created(&(0..there).map(|at| (at, 7 + at as u64)).collect::<Vec<_>>());
    for case in record.cases.iter_mut().skip(there) {
        let said = vec![FieldRefusal { field: "tags".into(), message: "is\ntoo long".into() }];
        case.state = CaseState::Refused(Box::new(Refusal { reason: Reason::CaseRefused, said }));
    }
    BatchRecord { state, ..record }
}

fn details(record: Option<BatchRecord>, events: Vec<EventRow>) -> BatchDetails {
    BatchDetails {
        key: own_key(),
        stored: record.map(stored),
        shelf: Vec::new(),
        pauses: Pauses::default(),
        history: History { events, ..History::default() },
        audit: Vec::new(),
        batch_tag: "sqai-1".into(),
        is_tagged: true,
        now: 0,
    }
}

fn own_key() -> crate::batch::BatchKey {
    "acme/b-1".parse().unwrap()
}

#[test]
fn every_state_has_a_text_in_plain_words() {
    for (state, there) in STATES {
        for record in [with_cases(state, there), BatchRecord { cases: Vec::new(), ..with_cases(state, there) }] {
            let text = written(&record, &BTreeMap::new()).text;
            let words = text.to_lowercase();
            for internal in ["worker", "shelf", "batch", "tenant", "queue", "message", "record", "outcome", "undo"] {
                assert!(!words.contains(internal), "{state:?}: {internal:?} in {text:?}");
            }
            assert!(text.ends_with(IF_NEEDED) || text.ends_with(AUTOMATIC), "{state:?}: {text}");
            assert!(!text.contains("0 of 0"), "{state:?}: {text}");
        }
    }
    let text = details(None, Vec::new()).for_customer().unwrap().text;
    assert!(text.starts_with("These test cases have reached us") && text.ends_with(AUTOMATIC), "{text}");
}

#[test]
fn cases_that_are_missing_are_named_with_the_words_of_testmo_and_others_linked() {
    let body = json!({"data": {"cases": [{"position": 1, "name": "a"}, {"position": 2, "name": "Pay & leave"}]}});
    let event = EventRow { id: "e".into(), kind: "k".into(), body: body.to_string(), created_at: 1, sent_at: None };
    let text = details(Some(with_cases(BatchState::Partial, 1)), vec![event]).for_customer().unwrap();
    assert_eq!(
        text.text,
        format!(
            "In your Testmo there are 1 of 2 test cases. The others have not arrived; they are named below. {IF_NEEDED}"
        )
    );
    assert_eq!(text.cases, ["Pay & leave (Testmo answered: tags: is too long)"]);
    assert_eq!(text.links, ["https://acme.testmo.net/repositories/1?group_id=2&case_id=7"]);
    let delivered = details(Some(with_cases(BatchState::Delivered, 2)), Vec::new()).for_customer().unwrap();
    assert_eq!(delivered.text, format!("All 2 test cases are in your Testmo. {AUTOMATIC}"));
    assert_eq!((delivered.cases.len(), delivered.links.len()), (0, 2));
    let undone = details(Some(with_cases(BatchState::Undone, 1)), Vec::new()).for_customer().unwrap();
    assert!(undone.links.is_empty(), "what was taken back is no longer there");
}

#[test]
fn a_batch_on_the_shelf_has_the_text_of_its_entry() {
    let record = Some(with_cases(BatchState::Partial, 1));
    assert_eq!(BatchDetails { shelf: vec![own()], ..details(record, Vec::new()) }.for_customer(), None);
}
