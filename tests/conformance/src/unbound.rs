//! Checks events that wait for a queue.

use std::time::Duration;

use testmo_courier::batch::event::{Event, KEY_EXPIRED};
use testmo_courier::store::PruneCounts;
use testmo_courier::store::ledger::{Commit, CommitOutcome};
use testmo_courier::store::outbox::OutboxEvent;
use testmo_courier::store::unbound::UnboundCounts;

use crate::Subject;
use crate::values::{DAY, TAKEN, event};

cases! {
    ($) unbound_cases in unbound:
    an_unroutable_event_waits_and_later_ones_of_its_routing_key_wait_behind_it,
    waiting_events_are_released_in_order_a_few_at_a_time_and_fresh_ones_queue_behind_them,
    a_routing_key_is_probed_at_growing_intervals_and_all_keys_together_at_a_limited_rate,
    an_event_that_is_resent_keeps_its_place_among_the_waiting_ones,
    an_event_that_became_due_again_while_it_was_released_is_published_again,
    an_event_that_waited_for_the_whole_retention_is_removed_once_its_routing_key_was_probed_after_that,
    waiting_events_are_counted,
}

/// How long a worker has for a probe.
pub const LEASE: Duration = Duration::from_secs(30);

fn keyed(id: &str, key: &str) -> Event {
    Event { routing_key: key.into(), body: format!("body of {id}"), ..event(id) }
}

/// Stores an event, and returns it if the worker that stored it is to publish it.
async fn put(f: &dyn Subject, id: &str, key: &str) -> Option<OutboxEvent> {
    let change =
        Commit { events: vec![keyed(id, key)], owner_grace: Some(Duration::from_secs(5)), ..Commit::default() };
    let CommitOutcome::Done(mut fresh) = f.store().commit(change.into()).await.unwrap() else { panic!() };
    fresh.pop()
}

/// Stores events of a routing key that no queue is bound for, each a millisecond after the one before.
pub async fn put_aside(f: &dyn Subject, from: i64, ids: &[&str], key: &str) {
    for (at, id) in (from..).zip(ids) {
        f.set_time(at).await;
        if let Some(event) = put(f, id, key).await {
            f.store().set_aside(&[event], &[]).await.unwrap();
        }
    }
}

/// Returns the ids of events.
pub fn ids(events: &[OutboxEvent]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

async fn an_unroutable_event_waits_and_later_ones_of_its_routing_key_wait_behind_it(f: &dyn Subject) {
    let first = put(f, "1", "k").await.unwrap();
    let in_flight = put(f, "2", "k").await.unwrap();
    f.store().set_aside(&[first], &[]).await.unwrap();
    assert_eq!(put(f, "3", "k").await, None, "it waits behind the first one");
    assert!(put(f, "4", "other").await.is_some());
    f.set_time(1_000_000 + 5_000).await;
    let due = f.store().unsent(9, TAKEN).await.unwrap();
    let seen: Vec<_> = due.iter().map(|event| (event.id.as_str(), event.unbound)).collect();
    assert!(seen.contains(&("2", true)) && seen.contains(&("4", false)) && seen.len() == 2, "{seen:?}");
    let behind: Vec<OutboxEvent> = due.into_iter().filter(|event| event.unbound).collect();
    assert_eq!(behind[0].body, in_flight.body);
    f.store().set_aside(&[], &behind).await.unwrap();
    let released = f.store().release_waiting("k", 9, TAKEN).await.unwrap();
    let mut released: Vec<_> = ids(&released.events).into_iter().map(ToOwned::to_owned).collect();
    released.sort();
    assert_eq!(released, ["1", "2", "3"]);
}

async fn waiting_events_are_released_in_order_a_few_at_a_time_and_fresh_ones_queue_behind_them(f: &dyn Subject) {
    put_aside(f, 1_000_000, &["e", "d", "c"], "k").await;
    put_aside(f, 1_000_010, &["x"], "other").await;
    let first = f.store().release_waiting("k", 2, TAKEN).await.unwrap();
    assert_eq!((ids(&first.events), first.is_last), (vec!["e", "d"], false));
    f.store().mark_sent(&first.events).await.unwrap();
    f.set_time(1_000_020).await;
    assert_eq!(put(f, "b", "k").await, None);
    assert_eq!(put(f, "a", "k").await, None, "it does not overtake");
    let second = f.store().release_waiting("k", 2, TAKEN).await.unwrap();
    assert_eq!((second.events.len(), second.events[0].id.as_str(), second.is_last), (2, "c", false));
    let third = f.store().release_waiting("k", 2, TAKEN).await.unwrap();
    assert_eq!((third.events.len(), third.is_last), (1, true));
    assert!(put(f, "z", "k").await.is_some(), "nothing waits now");
    assert!(f.store().release_waiting("k", 2, TAKEN).await.unwrap().is_last);
    assert_eq!(put(f, "y", "other").await, None);
}

async fn a_routing_key_is_probed_at_growing_intervals_and_all_keys_together_at_a_limited_rate(f: &dyn Subject) {
    for n in 0..30 {
        put_aside(f, 1_000_000 + n, &[&format!("e{n:02}")], &format!("k{n:02}")).await;
    }
    f.set_time(1_000_000 + 4_999).await;
    assert!(f.store().take_probes(20, LEASE).await.unwrap().is_empty());
    f.set_time(1_000_000 + 5_029).await;
    let probes = f.store().take_probes(20, LEASE).await.unwrap();
    let mut keys: Vec<_> = probes.iter().map(|probe| probe.routing_key.clone()).collect();
    keys.sort();
    assert_eq!(keys, (0..20).map(|n| format!("k{n:02}")).collect::<Vec<_>>(), "those that waited longest");
    for probe in &probes {
        assert_eq!(probe.event.as_ref().unwrap().id[1..], probe.routing_key[1..]);
    }
    f.set_time(1_000_000 + 6_028).await;
    assert!(f.store().take_probes(20, LEASE).await.unwrap().is_empty(), "within the same second");
    f.set_time(1_000_000 + 6_029).await;
    let rest = f.store().take_probes(20, LEASE).await.unwrap();
    assert_eq!(rest.len(), 10);
    // One key alone from here on.
    let rest: Vec<OutboxEvent> = probes.iter().skip(1).chain(&rest).filter_map(|probe| probe.event.clone()).collect();
    f.store().mark_sent(&rest).await.unwrap();
    for event in &rest {
        f.store().release_waiting(&event.routing_key, 9, TAKEN).await.unwrap();
    }
    let (mut now, mut event) = (1_000_000 + 6_029, probes[0].event.clone().unwrap());
    let mut pauses = Vec::new();
    for _ in 0..5 {
        f.store().set_aside(&[event], &[]).await.unwrap();
        let from = now;
        let probe = loop {
            now += 5_000;
            f.set_time(now).await;
            if let Some(probe) = f.store().take_probes(20, LEASE).await.unwrap().pop() {
                break probe;
            }
        };
        pauses.push((now - from) / 1_000);
        event = probe.event.unwrap();
    }
    assert_eq!(pauses, [10, 20, 40, 60, 60]);
    f.set_time(now + 29_000).await;
    assert!(f.store().take_probes(20, LEASE).await.unwrap().is_empty(), "another worker probes it");
    f.set_time(now + 30_000).await;
    assert_eq!(f.store().take_probes(20, LEASE).await.unwrap().len(), 1, "that worker is gone");
}

async fn an_event_that_is_resent_keeps_its_place_among_the_waiting_ones(f: &dyn Subject) {
    let sent = put(f, "sent", "k").await.unwrap();
    f.store().mark_sent(&[sent]).await.unwrap();
    put_aside(f, 1_000_001, &["1", "2"], "k").await;
    f.store().resend_event("acme/b", "2").await.unwrap();
    f.store().resend_event("acme/b", "sent").await.unwrap();
    let due = f.store().unsent(9, TAKEN).await.unwrap();
    assert_eq!((ids(&due), due[0].unbound), (vec!["sent"], true), "the other one still waits");
    f.store().set_aside(&[], &due).await.unwrap();
    let released = f.store().release_waiting("k", 9, TAKEN).await.unwrap();
    assert_eq!(ids(&released.events), ["sent", "1", "2"]);
}

async fn an_event_that_became_due_again_while_it_was_released_is_published_again(f: &dyn Subject) {
    put_aside(f, 1_000_000, &["1"], "k").await;
    f.set_time(1_000_000 + 5_000).await;
    let probe = f.store().take_probes(20, LEASE).await.unwrap().remove(0);
    f.store().resend_event("acme/b", "1").await.unwrap();
    f.store().mark_sent(&[probe.event.unwrap()]).await.unwrap();
    let released = f.store().release_waiting("k", 9, TAKEN).await.unwrap();
    assert_eq!(ids(&released.events), ["1"]);
    f.set_time(1_000_000 + 5_001).await;
    f.store().resend_event("acme/b", "1").await.unwrap();
    f.store().mark_sent(&released.events).await.unwrap();
    assert_eq!(ids(&f.store().unsent(9, TAKEN).await.unwrap()), ["1"]);
}

async fn an_event_that_waited_for_the_whole_retention_is_removed_once_its_routing_key_was_probed_after_that(
    f: &dyn Subject,
) {
    put_aside(f, 1_000_000, &["old"], "k").await;
    let reminder = Event { kind: KEY_EXPIRED, ..keyed("reminder", "k") };
    f.store().commit(Commit { events: vec![reminder.clone()], ..Commit::default() }.into()).await.unwrap();
    f.store().commit(Commit { events: vec![keyed("due", "other")], ..Commit::default() }.into()).await.unwrap();
    f.set_time(1_000_000 + 86_400_000 * 20).await;
    assert_eq!(put(f, "young", "k").await, None);
    f.set_time(1_000_000 + 86_400_000 * 31).await;
    assert_eq!(f.store().prune(DAY * 30, 9).await.unwrap(), PruneCounts::default(), "a queue may be bound by now");
    let probe = f.store().take_probes(20, LEASE).await.unwrap().remove(0);
    f.store().set_aside(&[probe.event.unwrap()], &[]).await.unwrap();
    assert_eq!(f.store().prune(DAY * 30, 9).await.unwrap(), PruneCounts { unheard: 2, ..PruneCounts::default() });
    assert_eq!(f.store().prune(DAY * 30, 9).await.unwrap(), PruneCounts::default());
    f.store().commit(Commit { events: vec![reminder], ..Commit::default() }.into()).await.unwrap();
    let released = f.store().release_waiting("k", 9, TAKEN).await.unwrap();
    assert_eq!(ids(&released.events), ["young"], "a reminder is published once");
    let due = f.store().unsent(9, TAKEN).await.unwrap();
    assert!(ids(&due).contains(&"due"), "only what waits for a queue is removed");
}

async fn waiting_events_are_counted(f: &dyn Subject) {
    put_aside(f, 1_000_000, &["1", "2"], "k").await;
    f.set_time(1_000_000 + 86_400_000).await;
    put_aside(f, 1_000_000 + 86_400_000, &["3"], "l").await;
    put(f, "4", "m").await;
    let counts = f.store().unbound_counts(DAY, DAY).await.unwrap();
    assert_eq!(counts, UnboundCounts { events: 3, old_events: 1, old_keys: 1 });
    assert_eq!(f.store().due_count().await.unwrap(), 1);
}
