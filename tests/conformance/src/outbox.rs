//! Checks events that the broker has not confirmed.

use std::time::Duration;

use testmo_courier::store::ledger::{Commit, CommitOutcome};

use crate::Subject;
use crate::values::{TAKEN, event};

cases! {
    ($) outbox_cases in outbox:
    events_are_kept_until_they_are_sent_and_stored_once,
    an_event_is_left_to_the_worker_that_stored_it_for_a_while,
    an_event_that_is_due_again_while_it_is_published_is_published_again,
}

async fn events_are_kept_until_they_are_sent_and_stored_once(f: &dyn Subject) {
    for _ in 0..2 {
        f.store().commit(Commit { events: vec![event("1"), event("2")], ..Commit::default() }.into()).await.unwrap();
    }
    let unsent = f.store().unsent(10, TAKEN).await.unwrap();
    assert_eq!(unsent.len(), 2);
    f.store().mark_sent(&unsent).await.unwrap();
    assert!(f.store().unsent(10, TAKEN).await.unwrap().is_empty());
    f.store().resend_event("acme/b", "2").await.unwrap();
    assert_eq!(f.store().unsent(10, TAKEN).await.unwrap().len(), 1);
}

async fn an_event_is_left_to_the_worker_that_stored_it_for_a_while(f: &dyn Subject) {
    let owner_grace = Some(Duration::from_secs(5));
    let change = |names: &[&str]| Commit {
        events: names.iter().map(|name| event(name)).collect(),
        owner_grace,
        ..Commit::default()
    };
    let CommitOutcome::Done(taken) = f.store().commit(change(&["e", "f"]).into()).await.unwrap() else { panic!() };
    assert_eq!(taken.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["e", "f"]);
    assert_eq!(
        f.store().commit(change(&["e"]).into()).await.unwrap(),
        CommitOutcome::Done(vec![]),
        "it is stored already"
    );
    assert!(f.store().unsent(9, TAKEN).await.unwrap().is_empty());
    f.store().mark_sent(&taken[..1]).await.unwrap();
    f.set_time(1_000_000 + 5_000).await;
    let due = f.store().unsent(9, TAKEN).await.unwrap();
    assert_eq!(
        due.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(),
        ["f"],
        "the worker that stored it is gone"
    );
    assert_eq!(due[0].body, taken[1].body);
}

async fn an_event_that_is_due_again_while_it_is_published_is_published_again(f: &dyn Subject) {
    f.store().commit(Commit { events: vec![event("e")], ..Commit::default() }.into()).await.unwrap();
    let taken = f.store().unsent(1, TAKEN).await.unwrap();
    f.store().resend_event("acme/b", "e").await.unwrap();
    f.store().mark_sent(&taken).await.unwrap();
    assert_eq!(f.store().unsent(1, TAKEN).await.unwrap().len(), 1);
}
