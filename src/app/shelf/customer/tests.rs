//! Checks what a customer reads of each reason.

use super::super::super::fixture::{batch, connection, own, record, with_acme};
use super::*;
use crate::batch::ledger::{BatchState, OpenPush, Refusal, Target};
use crate::batch::verdict::answer::FieldRefusal;

/// Words that mean nothing to a customer.
const INTERNAL: [&str; 29] = [
    "worker",
    "shelf",
    "lane",
    "ledger",
    "queue",
    "rabbitmq",
    "broker",
    "message",
    "batch",
    "payload",
    "json",
    "schema",
    "http",
    "header",
    "tenant",
    "fingerprint",
    "replay",
    "discard",
    "reconcil",
    "circuit",
    "retry",
    "retries",
    "parked",
    "dead",
    "outbox",
    "mapping",
    "host",
    "_",
    "4xx",
];

#[test]
fn every_reason_has_a_text_in_plain_words() {
    for reason in Reason::ALL {
        let text = sentences(*reason);
        let words = text.replace("https://your-name.testmo.net", "the address").to_lowercase();
        for internal in INTERNAL {
            assert!(!words.contains(internal), "{reason}: {internal:?} in {text:?}");
        }
        assert!(!words.contains(|c: char| c.is_ascii_digit()), "{reason}: a number means nothing: {text}");
        assert!(text.ends_with('.') && !text.contains("  ") && text.len() < 400, "{reason}: {text}");
        let sentences = text.matches(". ").count() + 1;
        assert!((2..=4).contains(&sentences), "{reason}: {text}");
        let says_what_follows = ["automatically", "send the", "send it", "we send", "are then sent", "let us know"];
        assert!(says_what_follows.iter().any(|part| words.contains(part)), "{reason}: {text}");
    }
}

#[test]
fn a_text_names_the_cases_that_are_missing_with_the_words_of_testmo() {
    let mut record = record(BatchState::Partial);
    let push = OpenPush { id: "p".into(), connection: "v".into(), batch_tag: None, committed: false };
    record.claim(&[0, 1], push, &Target { account: "https://acme.testmo.net".into(), project: 1, folder: 2 });
    record.created(&[(0, 7)]);
    let said = vec![FieldRefusal { field: "tags".into(), message: "is\ntoo long".into() }];
    record.cases[1].state = CaseState::Refused(Box::new(Refusal { reason: Reason::CaseRefused, said }));
    let text = written(Reason::CaseRefused, Some(&batch()), Some(&record), Some(&connection()));
    assert!(text.text.starts_with("This is about 2 test cases. Your Testmo did not accept"), "{}", text.text);
    assert_eq!(text.cases, ["b (Testmo answered: tags: is too long)"]);
    assert_eq!(text.links, ["https://acme.testmo.net/repositories/1?group_id=2&case_id=7"]);
    let shown = text.to_string();
    assert!(
        shown.ends_with("\nIn Testmo:\n- https://acme.testmo.net/repositories/1?group_id=2&case_id=7\n"),
        "{shown}"
    );
}

#[test]
fn a_link_leads_to_where_the_customer_can_correct_it() {
    let of = |reason, origin: &str| {
        let row = ConnectionRow { origin: origin.into(), ..connection() };
        written(reason, None, None, Some(&row)).links
    };
    assert_eq!(
        of(Reason::FolderMissing, "https://acme.testmo.net"),
        ["https://acme.testmo.net/repositories/1?group_id=2"]
    );
    assert_eq!(of(Reason::KeyRefused, "https://acme.testmo.net"), ["https://acme.testmo.net"]);
    assert_eq!(of(Reason::Throttled, "https://acme.testmo.net"), [""; 0]);
    assert_eq!(of(Reason::KeyRefused, "javascript:alert(1)"), [""; 0], "only addresses of pages");
}

#[tokio::test]
async fn an_entry_without_a_record_or_a_batch_has_a_text_too() {
    let (store, _dir) = with_acme().await;
    let text = for_customer(&store, &own()).await.unwrap();
    assert_eq!(text.cases, ["a", "b"]);
    let mut broken = super::super::super::fixture::raw(Reason::NotJson);
    broken.content.body = b"{".to_vec().into();
    let text = for_customer(&store, &broken).await.unwrap();
    assert!(text.text.starts_with("The generated test cases reached us") && text.cases.is_empty(), "{text:?}");
}
