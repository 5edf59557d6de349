use super::*;
use crate::app::fixture;
use crate::app::shelf::Pauses;
use crate::batch::Reason;
use crate::batch::ledger::{BatchState, OpenPush, Target};
use crate::store::audit::AuditId;
use crate::store::history::{EventRow, History, Holder};
use crate::store::ledger::StoredBatch;
use crate::store::shelf::{ShelvedUntil, Shelving};

const NOW: i64 = 10_000;

fn details(record: Option<BatchRecord>, history: History) -> BatchDetails {
    BatchDetails {
        key: fixture::batch().key,
        stored: record.map(fixture::stored),
        shelf: vec![],
        pauses: Pauses::default(),
        history,
        audit: vec![],
        batch_tag: "tag".into(),
        is_tagged: true,
        now: NOW,
    }
}

fn push(id: &str, claimed_at: i64, answer: Option<&str>) -> PushRow {
    PushRow {
        id: id.into(),
        account: "https://acme.testmo.net".into(),
        project: 1,
        folder: 2,
        cases: 2,
        batches: 1,
        holder: "w1".into(),
        claimed_at,
        ended_at: answer.map(|_| claimed_at + 5),
        answer: answer.map(Into::into),
        detail: answer.filter(|answer| *answer != "2xx").map(|answer| format!("Testmo answered {answer}")),
        ids: None,
    }
}

fn shelved(reason: Reason, until: ShelvedUntil, at: i64) -> HistoryEntry {
    HistoryEntry::once(Happening::shelved(reason, None, until), at, None)
}

fn reconciled(at: i64) -> HistoryEntry {
    HistoryEntry::once(Happening::Reconciled(Reconciliation::default()), at, None)
}

fn event(id: &str, created_at: i64, sent_at: Option<i64>) -> EventRow {
    let body = serde_json::json!({"data": {"revision": 1, "outcome": "partial", "cases": []}}).to_string();
    EventRow { id: id.into(), kind: "k".into(), body, created_at, sent_at }
}

fn replayed(at: i64) -> AuditRow {
    AuditRow {
        id: AuditId(1),
        at,
        actor: "anna".into(),
        role: "operator".into(),
        face: "command_line".into(),
        action: "shelf.replay".into(),
        tenant: Some("acme".into()),
        batch: Some("b-1".into()),
        subject: "shelf 00000001".into(),
        reason: None,
        before: None,
        after: None,
        trace_id: None,
    }
}

/// Names the moments of a timeline, each with its times and count.
fn names(details: &BatchDetails) -> Vec<String> {
    let name = |moment: &Moment| {
        let name = match &moment.what {
            What::Published => "published".into(),
            What::Taken => "taken".into(),
            What::Acted(row) => format!("{} {}", row.actor, row.action),
            What::Requested(request) => format!("{} {}", request.id, request.answer.as_deref().unwrap_or("?")),
            What::Happened(Happening::Shelved { reason, .. }, _) => format!("shelved {reason}"),
            What::Happened(Happening::Retried { reason, .. }, _) => format!("retried {reason}"),
            What::Happened(Happening::Reconciled(_), _) => "reconciled".into(),
            What::Happened(Happening::LateChecked { .. }, _) => "checked".into(),
            What::Happened(Happening::Overwritten(_), _) => "overwritten".into(),
            What::Finished(settlement) => format!("outcome {}", settlement.outcome),
            What::EventStored(id, _) => format!("{id} stored"),
            What::EventConfirmed(id, _) => format!("{id} confirmed"),
        };
        let times = if moment.times > 1 { format!(" x{} to {}", moment.times, moment.last_at) } else { String::new() };
        format!("{} {name}{times}", moment.at)
    };
    Timeline::of(details).moments.iter().map(name).collect()
}

#[test]
fn what_happened_is_in_order_and_causes_come_before_what_they_lead_to() {
    let record = BatchRecord { published_at: Some(9_999), arrived_at: Some(2), ..fixture::record(BatchState::Partial) };
    let history = History {
        pushes: vec![push("p1", 3, Some("503")), push("p2", 6, Some("422"))],
        events: vec![event("e1", 7, Some(7))],
        entries: vec![
            HistoryEntry::once(Happening::retried(Reason::ServerError, None), 4, Some(5)),
            reconciled(6),
            shelved(Reason::CaseRefused, ShelvedUntil::Person, 7),
            HistoryEntry::once(Happening::LateChecked { duplicates: 0 }, 9, None),
        ],
        ..History::default()
    };
    let details = BatchDetails { audit: vec![replayed(8)], ..details(Some(record), history) };
    let expected = [
        "9999 published",
        "2 taken",
        "3 p1 503",
        "4 retried server_error",
        "6 p2 422",
        "6 reconciled",
        "7 outcome partial",
        "7 shelved case_refused",
        "7 e1 stored",
        "7 e1 confirmed",
        "8 anna shelf.replay",
        "9 checked",
    ];
    assert_eq!(names(&details), expected);
    assert_eq!(names(&details.clone()), expected, "the order is stable");
}

#[test]
fn requests_that_follow_each_other_and_were_answered_alike_are_one_moment() {
    let pushes = vec![
        push("p1", 1, Some("503")),
        push("p2", 2, Some("503")),
        push("p3", 3, Some("503")),
        push("p4", 4, Some("429")),
        push("p5", 5, None),
        push("p6", 6, None),
        PushRow { ids: Some((1, 2)), ..push("p7", 7, Some("2xx")) },
        PushRow { ids: Some((3, 4)), ..push("p8", 8, Some("2xx")) },
    ];
    let entries = vec![HistoryEntry { times: 3, last_at: 3, ..reconciled(1) }];
    let details = details(None, History { pushes, entries, ..History::default() });
    let expected = [
        "1 p1 503",
        "1 reconciled x3 to 3",
        "2 p3 503 x2 to 3",
        "4 p4 429",
        "5 p5 ?",
        "6 p6 ?",
        "7 p7 2xx",
        "8 p8 2xx",
    ];
    assert_eq!(names(&details), expected);
}

#[test]
fn a_batch_that_was_never_sent_arrived_when_its_message_did() {
    let mut entry = fixture::own();
    entry.content = Shelving { published_at: Some(3), arrived_at: 5, ..entry.content };
    let mut conflict = fixture::raw(Reason::BatchConflict);
    conflict.content = Shelving { published_at: Some(1), arrived_at: 2, ..conflict.content };
    let of = |shelf, record| names(&BatchDetails { shelf, ..details(record, History::default()) });
    assert_eq!(of(vec![entry.clone()], None), ["3 published", "5 taken"]);
    assert_eq!(of(vec![conflict.clone()], None), ["1 published", "2 taken"]);
    let record = || Some(fixture::record(BatchState::Open));
    assert_eq!(of(vec![conflict], record()), [""; 0], "a message in conflict is another one");
    assert_eq!(of(vec![entry], record()), ["3 published", "5 taken"]);
}

#[test]
fn of_a_request_that_batches_shared_the_own_cases_are_counted_by_their_ids() {
    let mut record = fixture::record(BatchState::Delivered);
    record.created(&[(0, 3_721), (1, 3_722)]);
    let shared = |ids, batches| {
        let push = PushRow { cases: 14, batches, ids, ..push("p", 1, Some("2xx")) };
        let What::Requested(request) = requested(&push, Some(&record), false).what else { panic!() };
        request.own
    };
    assert_eq!(shared(Some((3_715, 3_721)), 3), Some(1));
    assert_eq!(shared(None, 3), None);
    assert_eq!(shared(Some((3_715, 3_728)), 1), None);
}

#[test]
fn the_time_of_an_answer_is_not_known_once_its_cases_were_adopted() {
    for (answer, took) in [(Some("503"), Some(5)), (Some("503, adopted"), None), (None, None)] {
        let What::Requested(request) = requested(&push("p", 1, answer), None, false).what else { panic!() };
        assert_eq!(request.took, took);
    }
}

#[test]
fn what_a_worker_is_doing_is_under_way_until_its_time_is_over() {
    let mut record = fixture::record(BatchState::Open);
    let open = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
    record.claim(&[0], open, &Target { account: "https://a".into(), project: 1, folder: 2 });
    let of = |lease_until, pushes: Vec<PushRow>| {
        let held = Holder { worker: "w2".into(), until: 12_000 };
        let history = History { pushes, holders: vec![held], ..History::default() };
        let stored =
            StoredBatch { lease_until: Some(lease_until), claimed_at: Some(9_000), ..fixture::stored(record.clone()) };
        let details = BatchDetails { stored: Some(stored), ..details(None, history) };
        Timeline::of(&details).under_way
    };
    let in_hand = UnderWay::InHand { worker: "w2".into(), until: 12_000 };
    let request = |worker| UnderWay::Request { id: "p".into(), since: 9_000, worker, until: 11_000 };
    assert_eq!(of(11_000, vec![push("p", 9_000, None)]), [request(Some("w1".into())), in_hand.clone()]);
    assert_eq!(of(11_000, vec![]), [request(None), in_hand.clone()]);
    let settling = UnderWay::Settling { id: "p".into(), since: 9_005, worker: "w1".into(), until: 11_000 };
    assert_eq!(of(11_000, vec![push("p", 9_000, Some("timeout"))]), [settling, in_hand.clone()]);
    assert_eq!(of(NOW, vec![push("p", 9_000, None)]), [in_hand]);
}

#[test]
fn a_request_that_is_under_way_is_marked() {
    let mut record = fixture::record(BatchState::Open);
    let open = OpenPush { id: "p2".into(), connection: "v".into(), batch_tag: None, committed: false };
    record.claim(&[0], open, &Target { account: "https://a".into(), project: 1, folder: 2 });
    let history = History { pushes: vec![push("p1", 1, None), push("p2", 2, None)], ..History::default() };
    let stored = StoredBatch { lease_until: Some(NOW + 1), ..fixture::stored(record) };
    let details = BatchDetails { stored: Some(stored), ..details(None, history) };
    let is_under_way = |moment: &Moment| matches!(&moment.what, What::Requested(request) if request.is_under_way);
    assert_eq!(Timeline::of(&details).moments.iter().map(is_under_way).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn the_actions_of_people_are_read_with_the_batch() {
    use crate::app::batches::show;
    use crate::store::LedgerStore;
    use crate::store::actor::{Actor, Face, Role};
    use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
    use crate::store::ledger::Commit;

    let (store, _folder) = fixture::with_acme().await;
    let key = fixture::batch().key;
    let own = fixture::own().content;
    let act = |name: &str, action, reason| {
        let actor = Actor::new(name, Role::Operator, Face::CommandLine);
        AuditEntry::new(&actor, action, AuditSubject::entry(fixture::own().id, Some(&key), None)).because(reason)
    };
    let audit = vec![
        act("anna", AuditAction::ReplayEntry, Some("fixed in Testmo")),
        act("bert", AuditAction::DiscardEntry, None),
    ];
    store.commit(Commit { shelve: Some(own), audit, ..Commit::default() }.into()).await.unwrap();
    let details = show(&store, &key).await.unwrap();
    let said: Vec<String> = names(&details).iter().map(|name| name.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(said, ["taken", "anna shelf.replay", "bert shelf.discard", "shelved retries_exhausted"]);
    assert_eq!((details.is_tagged, details.batch_tag), (true, crate::batch::batch_tag(&key)));
}
