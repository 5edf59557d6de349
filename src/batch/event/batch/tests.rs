use crate::batch::ledger::{OpenPush, Refusal, Target};
use serde_json::Value;

use crate::batch::event::trace_of;
use crate::trace::TraceContext;

use super::*;

fn partial() -> BatchRecord {
    let keys = ["TC-1".to_owned(), "#2".to_owned()];
    let mut record = BatchRecord::fresh("acme.eu/b-1".parse().unwrap(), "1:x".into(), keys);
    let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
    let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 };
    record.claim(&[0, 1], push, &target);
    let said = vec![crate::batch::verdict::answer::FieldRefusal { field: "tags".into(), message: "invalid".into() }];
    record.not_created(vec![(1, Refusal { reason: Reason::CaseRefused, said })]);
    record.created(&[(0, 3721)]);
    record.state = record.outcome().unwrap();
    record
}

#[test]
fn an_event_reads_like_this() {
    let source = Source { key: Some("SHOP-1".into()), ..Source::default() };
    let left_out = [LeftOut { what: "tags".into(), value: Some("→".into()), why: "no tag for Testmo" }];
    let long = "Long name ".repeat(30);
    let path = ["Login".to_owned()];
    let cases = [&*long, "Sign in"].map(|name| CaseInput { name, path: Some(&path), left_out: &left_out });
    let input = EventInput {
        source: &source,
        cases: &cases,
        now: 0,
        reason: Some(Reason::CaseRefused),
        detail: None,
        replay: None,
    };
    let event = of_settlement(&partial(), &input).unwrap();
    let body: Value = serde_json::from_str(&event.body).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap());
    assert_eq!(event.routing_key, "acme~eu.com.sqai-suite.testmo.batch.partially_delivered.v1");
}

#[test]
fn words_of_others_are_bounded_and_on_one_line() {
    let source = Source::default();
    let long = "x\x1b[2J\n".repeat(10_000);
    let input = EventInput {
        source: &source,
        cases: &[],
        now: 0,
        reason: Some(Reason::CaseRefused),
        detail: Some(&long),
        replay: None,
    };
    let event = of_settlement(&partial(), &input).unwrap();
    assert!(event.body.len() < 4_000);
    let body: Value = serde_json::from_str(&event.body).unwrap();
    assert!(!body["data"]["detail"].as_str().unwrap().contains(char::is_control));
}

#[test]
fn the_ids_that_were_given_before_stay() {
    let source = Source::default();
    let input = EventInput { source: &source, cases: &[], now: 0, reason: None, detail: None, replay: None };
    let settled = of_settlement(&partial(), &input).unwrap();
    assert_eq!(settled.id, "95468873-799d-56de-9b90-f066afb2c9f8");
}

#[test]
fn a_batch_is_deferred_once_in_each_revision() {
    let record = partial();
    let at = |record: &BatchRecord, reason, now| deferred(Waiting::of(record), reason, None, Some(3_600_000), now);
    let first = at(&record, Reason::KeyRefused, 0);
    assert_eq!(at(&record, Reason::Throttled, 9).id, first.id);
    assert_ne!(at(&BatchRecord { revision: 2, ..partial() }, Reason::KeyRefused, 0).id, first.id);
    let body: Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!(body["data"]["expected_until"], "1970-01-01T01:00:00Z");
    assert_eq!((&body["data"]["reason"], &body["data"]["revision"]), (&"key_refused".into(), &1.into()));
    let again = |now| still_deferred(Waiting::of(&record), Reason::KeyRefused, None, now).id;
    assert_eq!(again(9), again(99));
    assert_ne!(again(9), first.id);
}

#[test]
fn the_id_depends_on_batch_revision_and_type_alone() {
    let source = Source::default();
    let at = |now| EventInput { source: &source, cases: &[], now, reason: None, detail: None, replay: None };
    let first = of_settlement(&partial(), &at(0)).unwrap();
    assert_eq!(of_settlement(&partial(), &at(99)).unwrap().id, first.id);
    let again = BatchRecord { revision: 2, ..partial() };
    assert_ne!(of_settlement(&again, &at(0)).unwrap().id, first.id);
}

#[test]
fn a_case_that_may_have_arrived_is_unclear() {
    let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
    let target = Target { account: "https://acme.testmo.net".into(), project: 3, folder: 428 };
    let mut record = BatchRecord::fresh("acme/b-1".parse().unwrap(), "1:x".into(), ["a", "b"].map(str::to_owned));
    record.claim(&[0], push, &target);
    record.unclear(5);
    record.discard(6);
    let outcomes = [0, 1].map(|index| case(&record, index, None).outcome);
    assert_eq!(outcomes, [CaseOutcome::Unclear, CaseOutcome::NotSent]);
}

#[test]
fn an_open_batch_has_no_event() {
    let input = EventInput { source: &Source::default(), cases: &[], now: 0, reason: None, detail: None, replay: None };
    assert!(of_settlement(&BatchRecord { state: BatchState::Open, ..partial() }, &input).is_none());
}

#[test]
fn an_event_names_the_trace_of_its_batch() {
    let trace = TraceContext::of_stored("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 rojo=1").unwrap();
    let traced = BatchRecord { trace: Some(trace.clone()), ..partial() };
    let source = Source::default();
    let input = EventInput { source: &source, cases: &[], now: 0, reason: None, detail: None, replay: None };
    let settled = of_settlement(&traced, &input).unwrap();
    assert_eq!(trace_of(&settled.body), Some(trace.clone()));
    assert_eq!(settled.id, of_settlement(&partial(), &input).unwrap().id, "the same event");
    let waits = deferred(Waiting::of(&traced), Reason::KeyRefused, Some(r#"","data":{"#), None, 0);
    assert_eq!(trace_of(&waits.body), Some(trace));
    assert_eq!(trace_of(&of_settlement(&partial(), &input).unwrap().body), None);
    let body: Value = serde_json::from_str(&waits.body).unwrap();
    assert_eq!((&body["tracestate"], body["data"].get("tracestate")), (&"rojo=1".into(), None));
}
