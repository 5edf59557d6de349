//! Tests that every end of a push leaves the record in the right state.

use super::*;
use crate::batch::Reason;

fn record(cases: usize) -> BatchRecord {
    BatchRecord::fresh("t/b".parse().unwrap(), "1:x".into(), (1..=cases).map(|n| format!("#{n}")))
}

fn claimed(cases: usize) -> BatchRecord {
    let mut record = record(cases);
    let all: Vec<usize> = (0..cases).collect();
    record.claim(&all, push(), &target());
    record
}

fn push() -> OpenPush {
    OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false }
}

fn target() -> Target {
    Target { account: "https://a.testmo.net".into(), project: 1, folder: 2 }
}

fn refusal() -> Refusal {
    Refusal { reason: Reason::CaseRefused, said: vec![] }
}

#[test]
fn a_push_with_all_ids_delivers() {
    let mut record = claimed(2);
    assert_eq!(record.outcome(), None);
    record.created(&[(0, 10), (1, 11)]);
    assert_eq!((record.outcome(), record.open_push), (Some(BatchState::Delivered), None));
}

#[test]
fn a_case_without_an_id_stays_unclear_and_is_lost_when_it_is_not_found() {
    let mut record = claimed(2);
    record.created(&[(0, 10)]);
    assert_eq!(record.unclear_cases().collect::<Vec<_>>(), [1]);
    record.reconciled(&[], false);
    assert_eq!(record.cases[1].state, CaseState::Lost);
    assert_eq!(record.outcome(), Some(BatchState::Partial));
}

#[test]
fn a_push_that_is_found_in_part_is_never_sent_again() {
    let mut record = claimed(3);
    record.unclear(5);
    record.reconciled(&[(1, 11)], false);
    assert_eq!(record.waiting().count(), 0);
    assert_eq!(record.outcome(), Some(BatchState::Partial));
}

#[test]
fn an_unknown_outcome_is_noted_once() {
    let mut record = record(2);
    record.claim(&[0], push(), &target());
    assert!(!record.is_noted_unclear(5));
    record.unclear(5);
    assert!(record.is_noted_unclear(5) && record.is_noted_unclear(9) && !record.is_noted_unclear(3));
    record.reconciled(&[], false);
    record.claim(&[1], push(), &target());
    assert!(!record.is_noted_unclear(9), "of a case that was not sent before");
}

#[test]
fn what_is_unclear_from_an_earlier_push_is_not_lost_because_a_smaller_one_is_found() {
    let mut record = claimed(4);
    record.unclear(5);
    record.reconciled(&[], false);
    record.claim(&[0, 1], push(), &target());
    record.unclear(9);
    record.reconciled(&[(0, 10), (1, 11)], false);
    assert_eq!(record.waiting().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(record.unclear_cases().collect::<Vec<_>>(), [2, 3]);
    record.reconciled(&[(2, 12)], false);
    assert_eq!(record.cases[3].state, CaseState::Lost, "of the earlier push a case is there");
}

#[test]
fn what_is_sent_again_may_turn_up_late_until_the_check_for_late_duplicates() {
    let tagged = OpenPush { batch_tag: Some("sqai-1".into()), ..push() };
    let mut record = record(2);
    record.claim(&[0, 1], tagged.clone(), &target());
    record.unclear(5);
    record.reconciled(&[], false);
    assert_eq!((record.late_since, record.unclear_since), (Some(5), Some(5)));
    record.claim(&[0, 1], tagged.clone(), &target());
    record.unclear(9);
    record.reconciled(&[(0, 10), (1, 11)], false);
    assert_eq!((record.late_since, record.unclear_since), (Some(5), None));
    let epoch = record.epoch;
    record.late_checked();
    assert_eq!((record.late_since, record.epoch), (None, epoch + 1));

    let mut found_at_once = crate::batch::ledger::tests::record(1);
    found_at_once.claim(&[0], tagged, &target());
    found_at_once.unclear(5);
    found_at_once.reconciled(&[(0, 10)], false);
    assert_eq!(found_at_once.late_since, None);
}

#[test]
fn a_push_that_is_not_found_is_sent_again_but_stays_unclear() {
    let mut record = claimed(2);
    record.unclear(5);
    record.reconciled(&[], false);
    assert_eq!(record.waiting().count(), 2);
    assert_eq!(record.late_since, None, "without a batch tag there is no check for late rows");
    assert_eq!(record.unclear_cases().count(), 2);
    assert_eq!(record.unclear_since, Some(5));
    record.claim(&[0, 1], push(), &target());
    record.not_created(vec![(0, refusal())]);
    assert_eq!(record.unclear_cases().collect::<Vec<_>>(), [1], "a clear end leaves the outcome of what waits unknown");
    record.claim(&[1], push(), &target());
    record.created(&[(1, 20)]);
    assert_eq!(record.unclear_since, None);
}

#[test]
fn refusals_make_partial_and_failed() {
    let mut record = claimed(2);
    record.not_created(vec![(0, refusal())]);
    assert_eq!(record.outcome(), None);
    let mut failed = record.clone();
    failed.claim(&[1], push(), &target());
    failed.not_created(vec![(1, refusal())]);
    assert_eq!(failed.outcome(), Some(BatchState::Failed));
    record.claim(&[1], push(), &target());
    record.created(&[(1, 7)]);
    assert_eq!(record.outcome(), Some(BatchState::Partial));
}

#[test]
fn unclear_cases_of_a_former_account_are_given_up() {
    let mut record = claimed(2);
    record.unclear(5);
    record.give_up_unclear();
    assert_eq!(record.outcome(), Some(BatchState::Failed));
}

/// Returns a record with three cases: one was created, one was refused, and one was created and then lost.
fn partial() -> BatchRecord {
    let mut record = BatchRecord { first_seen_at: 3, ..claimed(3) };
    record.created(&[(0, 10)]);
    record.unclear(5);
    record.reconciled(&[], false);
    record.cases[1].state = CaseState::Refused(Box::new(refusal()));
    record.state = record.outcome().unwrap();
    record.settled_at = Some(9);
    record
}

#[test]
fn a_batch_that_is_opened_again_tries_what_did_not_arrive_and_nothing_else() {
    use CaseState::{Created, Waiting};
    for (account, unclear) in [(None, true), (Some("https://a.testmo.net"), true), (Some("https://b"), false)] {
        let mut record = partial();
        let (epoch, revision) = (record.epoch, record.revision);
        assert!(record.reopen(account));
        let states: Vec<_> = record.cases.iter().map(|case| (case.state.clone(), case.unclear)).collect();
        assert_eq!(states, [(Created(10), false), (Waiting, false), (Waiting, unclear)]);
        assert_eq!((record.state, record.settled_at, record.outcome()), (BatchState::Open, None, None));
        assert_eq!((record.epoch, record.revision), (epoch + 1, revision + 1));
        assert_eq!(record.unclear_since, unclear.then_some(3), "{account:?}");
    }
}

#[test]
fn a_batch_that_failed_over_an_unclear_end_is_reconciled_when_it_is_opened_again() {
    let mut record = claimed(2);
    record.unclear(5);
    record.state = BatchState::Failed;
    assert!(record.reopen(None));
    assert_eq!((record.unclear_cases().count(), record.unclear_since), (2, Some(5)));
    assert!(record.open_push.is_some());
}

#[test]
fn only_what_failed_is_opened_again_and_only_what_is_open_is_discarded() {
    for state in BatchState::ALL {
        let mut record = BatchRecord { state, ..record(1) };
        let failed = matches!(state, BatchState::Partial | BatchState::Failed);
        assert_eq!(record.clone().reopen(None), failed, "{state:?}");
        assert_eq!(record.discard(7), state == BatchState::Open, "{state:?}");
    }
}

#[test]
fn a_discarded_batch_has_no_push_and_says_what_is_not_known() {
    let mut record = claimed(2);
    record.created(&[(0, 10)]);
    assert!(record.discard(7));
    assert_eq!((record.state, record.settled_at, record.revision), (BatchState::Discarded, Some(7), 2));
    assert_eq!(record.open_push, None);
    assert_eq!(record.unclear_cases().collect::<Vec<_>>(), [1]);
}

#[test]
fn every_change_raises_the_epoch_by_one() {
    type Change = (&'static str, fn(&mut BatchRecord));
    let suspected = |record: &mut BatchRecord| {
        record.suspect(408);
        record.unclear(1);
    };
    let changes: [Change; 12] = [
        ("claim", |record| record.claim(&[0], push(), &target())),
        ("created", |record| record.created(&[(0, 1)])),
        ("not_created", |record| record.not_created(vec![(0, refusal())])),
        ("reprieve", |record| record.reprieve(&[0])),
        ("unclear", |record| record.unclear(1)),
        ("reconciled", |record| record.reconciled(&[], false)),
        ("late_checked", BatchRecord::late_checked),
        ("give_up_unclear", BatchRecord::give_up_unclear),
        ("settle", |record| record.settle(BatchState::Failed, 7)),
        ("discard", |record| assert!(record.discard(7))),
        ("halve", |record| assert_eq!(record.halve(), Halved::Done)),
        ("absolve", BatchRecord::absolve),
    ];
    for (name, change) in changes {
        // Not 0 or 1, of which some wrong sums are right.
        let mut record = claimed(2);
        suspected(&mut record);
        record.epoch = 5;
        change(&mut record);
        assert_eq!(record.epoch, 6, "{name}");
    }
}

#[test]
fn the_name_of_every_state_is_read_as_that_state() {
    let names: Vec<&str> = BatchState::ALL.iter().map(|state| state.name()).collect();
    assert_eq!(names, ["open", "delivered", "partial", "failed", "discarded", "undone"]);
    assert!(BatchState::ALL.iter().all(|state| state.name().parse() == Ok(*state)));
    assert!("opened".parse::<BatchState>().is_err());
}

#[test]
fn the_target_of_a_case_is_stored_where_it_is_not_the_first_one() {
    let mut record = claimed(2);
    record.not_created(vec![]);
    record.claim(&[1], push(), &Target { folder: 3, ..target() });
    let text = serde_json::to_string(&record.cases).unwrap();
    assert_eq!(serde_json::from_str::<Vec<CaseRecord>>(&text).unwrap(), record.cases);
    assert_eq!((record.cases[0].target, record.cases[1].target), (0, 1));
}

#[test]
fn cases_of_one_push_go_to_the_target_of_their_place_and_the_present_targets_are_the_last_ones() {
    let at = |folder| Target { folder, ..target() };
    let mut record = record(4);
    assert_eq!((record.present_targets(1), record.present_targets(2)), (None, None));
    record.claim_in(&[(0, 0), (1, 1)], push(), &[at(5), at(6)]);
    record.created(&[(0, 10), (1, 11)]);
    record.claim_in(&[(2, 1)], push(), &[at(5), at(6)]);
    assert_eq!((record.targets.len(), record.present_targets(2)), (2, Some(&[at(5), at(6)][..])));
    // One of the folders has vanished.
    record.not_created(vec![]);
    record.claim_in(&[(2, 1), (3, 0)], push(), &[at(5), at(7)]);
    assert_eq!(record.present_targets(2), Some(&[at(5), at(7)][..]));
    let folders: Vec<u64> = record.cases.iter().map(|case| record.targets[case.target].folder).collect();
    assert_eq!(folders, [5, 6, 7, 5], "what has arrived stays where it is");
}

#[test]
fn the_latest_status_of_a_suspected_case_is_kept() {
    let mut record = claimed(1);
    record.suspect(408);
    record.suspect(404);
    let known = record.cases[0].suspicion.as_ref().unwrap();
    assert_eq!((known.status, known.times), (404, 2));
}

#[test]
fn a_settled_batch_has_its_state_and_its_time() {
    let mut record = claimed(1);
    record.settle(BatchState::Delivered, 7);
    assert_eq!((record.state, record.settled_at), (BatchState::Delivered, Some(7)));
}

#[test]
fn a_case_is_tried_again_where_the_connection_was_at_fault() {
    let mut record = claimed(3);
    record.not_created(vec![(0, refusal()), (2, refusal())]);
    record.reprieve(&[2]);
    assert!(matches!(record.cases[0].state, CaseState::Refused(_)));
    assert_eq!(record.waiting().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn of_a_push_that_was_carried_out_what_is_not_there_is_lost() {
    let mut record = claimed(1);
    record.carried_out();
    record.unclear(5);
    record.reconciled(&[], false);
    assert_eq!(record.cases[0].state, CaseState::Lost);
    // Without a push there is nothing to note.
    record.carried_out();
    assert_eq!(record.open_push, None);
}

#[test]
fn cases_have_arrived_in_the_account_to_which_they_were_sent() {
    let mut record = claimed(3);
    record.created(&[(0, 10), (1, 11)]);
    record.not_created(vec![]);
    let elsewhere = Target { account: "https://b.testmo.net".into(), ..target() };
    record.claim(&[2], push(), &elsewhere);
    record.created(&[(2, 5)]);
    assert_eq!(record.arrived_at(&target().account).collect::<Vec<_>>(), [(0, 10), (1, 11)]);
    assert_eq!(record.arrived_at(&elsewhere.account).collect::<Vec<_>>(), [(2, 5)]);
    assert_eq!(record.arrived().count(), 3);
}

#[test]
fn every_case_counts_for_the_outcome() {
    let mut record = claimed(4);
    record.created(&[(0, 10), (1, 11)]);
    record.not_created(vec![(2, refusal()), (3, refusal())]);
    assert_eq!(record.outcome(), Some(BatchState::Partial), "two and two are not none");
}

#[test]
fn cases_are_stored_in_few_words() {
    let mut record = claimed(3);
    record.created(&[(0, 66306)]);
    record.not_created(vec![(1, refusal())]);
    let text = serde_json::to_string(&record.cases).unwrap();
    assert_eq!(
        text,
        r##"[{"k":"#1","s":{"created":66306}},{"k":"#2","s":{"refused":{"reason":"case_refused","said":[]}}},{"k":"#3","s":"waiting"}]"##
    );
    assert_eq!(serde_json::from_str::<Vec<CaseRecord>>(&text).unwrap(), record.cases);
}

#[test]
fn the_floor_rises_only_while_nothing_of_the_batch_may_stand_in_testmo_unknown() {
    let mut record = record(2);
    let here = target().account;
    assert_eq!(record.next_floor(&here, Some(10)), Some(10));
    record.claim(&[0, 1], push(), &target());
    record.floor = Some(10);
    record.not_created(vec![(0, refusal())]);
    assert_eq!(record.next_floor(&here, Some(20)), Some(20), "nothing was created");

    record.claim(&[1], OpenPush { batch_tag: Some("m".into()), ..push() }, &target());
    record.floor = Some(20);
    record.unclear(5);
    assert_eq!(record.next_floor(&here, Some(30)), Some(20), "the outcome is unknown");
    record.reconciled(&[], false);
    assert_eq!(record.next_floor(&here, Some(30)), Some(20), "not found, which is no proof");
    record.claim(&[1], push(), &target());
    record.created(&[(1, 40)]);
    assert_eq!(record.next_floor(&here, Some(50)), Some(20), "rows of the first request may still turn up");
    record.late_checked();
    assert_eq!(record.next_floor(&here, Some(50)), Some(50));
}

#[test]
fn the_floor_stays_for_a_lost_case_and_tells_nothing_of_another_account() {
    let mut record = claimed(2);
    record.floor = Some(10);
    record.unclear(5);
    record.reconciled(&[(0, 11)], false);
    assert_eq!((record.unclear_since, &record.cases[1].state), (None, &CaseState::Lost));
    assert_eq!(record.next_floor(&target().account, Some(30)), Some(10));
    assert_eq!(record.next_floor("https://b.testmo.net", Some(3)), None);
    assert!(record.may_have_created(11) && !record.may_have_created(10));
    record.floor = None;
    assert!(record.may_have_created(1), "where no floor is known every row counts");
}
