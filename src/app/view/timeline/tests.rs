use super::*;
use crate::app::fixture;
use crate::batch::ledger::{BatchState, OpenPush, Target};
use crate::store::ledger::StoredBatch;

fn request(answer: Option<&str>, batches: u64, own: Option<usize>) -> Request {
    Request {
        id: "0123456789abcdef".into(),
        cases: 14,
        batches,
        own,
        answer: answer.map(Into::into),
        detail: None,
        took: answer.map(|_| 230),
        ids: None,
        is_under_way: false,
    }
}

#[test]
fn a_request_is_described_by_its_cases_and_its_answer() {
    let answered = |ids| Request { ids, ..request(Some("2xx"), 1, None) };
    for (request, expected) in [
        (answered(Some((3, 16))), "request 89abcdef: 14 cases; answer 2xx after 230 ms; ids 3 to 16"),
        (Request { cases: 1, ..answered(Some((3, 3))) }, "request 89abcdef: 1 case; answer 2xx after 230 ms; id 3"),
        (
            Request { took: None, ..request(Some("503, adopted"), 1, None) },
            "request 89abcdef: 14 cases; answer 503, adopted",
        ),
        (request(None, 1, None), "request 89abcdef: 14 cases; no answer is known"),
        (Request { is_under_way: true, ..request(None, 1, None) }, "request 89abcdef: 14 cases; no answer yet"),
        (request(None, 3, None), "request 89abcdef: 14 cases of 3 batches; no answer is known"),
        (request(None, 3, Some(2)), "request 89abcdef: 2 of 14 cases (shared with other batches); no answer is known"),
    ] {
        assert_eq!(request_text(&request), expected);
    }
}

#[test]
fn a_reconciliation_says_what_was_found_and_what_follows() {
    let found = |unknown, adopted, lost, candidates: &[u64]| {
        let candidates = candidates.to_vec();
        reconciliation_text(&Reconciliation { unknown, adopted, lost, candidates, elsewhere: false })
    };
    assert_eq!(found(1, 1, 0, &[]), "reconciled 1 case of unknown outcome: 1 found in Testmo");
    assert_eq!(found(3, 0, 0, &[]), "reconciled 3 cases of unknown outcome: 0 found in Testmo, so they are sent again");
    assert_eq!(found(3, 1, 0, &[]), "reconciled 3 cases of unknown outcome: 1 found in Testmo, 2 to be sent again");
    assert_eq!(
        found(3, 2, 1, &[8, 9]),
        "reconciled 3 cases of unknown outcome: 2 found in Testmo, 1 not found; a person decides about them; \
         possible matches: 8, 9"
    );
    let elsewhere = Reconciliation { unknown: 2, lost: 2, elsewhere: true, ..Reconciliation::default() };
    assert_eq!(
        reconciliation_text(&elsewhere),
        "not reconciled: 2 cases of unknown outcome went to an account that is no longer the tenant's"
    );
}

#[test]
fn what_a_worker_is_doing_says_since_when_and_until_when() {
    let (id, worker) = ("0123456789abcdef".to_owned(), "w1".to_owned());
    let (since, until, now) = (1_800_000_000_000, 1_800_000_060_000, 1_800_000_003_000);
    for (under_way, expected) in [
        (
            UnderWay::Request { id: id.clone(), since, worker: Some(worker.clone()), until },
            "request 89abcdef of worker w1 is under way since 2027-01-15 08:00:00Z (3 s ago)",
        ),
        (
            UnderWay::Request { id: id.clone(), since, worker: None, until },
            "request 89abcdef of a worker is under way since 2027-01-15 08:00:00Z (3 s ago)",
        ),
        (
            UnderWay::Settling { id, since, worker: worker.clone(), until },
            "the outcome of request 89abcdef is unknown since 2027-01-15 08:00:00Z (3 s ago); worker w1 has the batch in \
             hand, at the latest until 2027-01-15 08:01:00Z (in 57 s)",
        ),
        (
            UnderWay::InHand { worker, until },
            "worker w1 has taken the batch from the shelf, at the latest until 2027-01-15 08:01:00Z (in 57 s)",
        ),
    ] {
        assert_eq!(UnderWayView::of(&under_way, now).text, expected);
    }
}

#[test]
fn possible_matches_have_an_address_where_the_case_was_sent() {
    let mut record = fixture::record(BatchState::Open);
    let open = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
    record.claim(&[0, 1], open, &Target { account: "https://a.testmo.net".into(), project: 3, folder: 4 });
    record.cases[1].state = CaseState::Lost;
    let StoredBatch { record, .. } = fixture::stored(record);
    let address = "https://a.testmo.net/repositories/3?group_id=4&case_id=9";
    assert_eq!(link_of(&record, 9).as_deref(), Some(address));
    assert_eq!(link_of(&BatchRecord { cases: vec![], ..record }, 9), None, "a pruned batch");
}
