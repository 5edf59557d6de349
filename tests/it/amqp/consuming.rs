//! Consumes with pauses, stops, deleted queues and unreadable messages, and tails events.

use testmo_courier::amqp::*;

use super::{MEMORY, Setup, batch, collect, delivery, id, message};
use crate::support::broker::Broker;
use crate::support::waiting::{patient, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_queue_is_deleted_subscribes_again() {
    let stage = Setup::new(Broker::shared(), "deleted").declared().await;
    let publisher = stage.publisher();
    let mut intake = stage.intake("testmo.cases", 10);
    publisher.publish(batch("before")).await.expect("a stored message");
    let before = delivery(&mut intake).await;
    Broker::shared().ctl(&["delete_queue", "-p", "deleted", "testmo.cases"]);
    let Some(Event::Lost(generation)) = patient(intake.next()).await else { panic!("expected a lost session") };
    assert_eq!(generation, before.generation);
    before.handle.ack().await.expect_err("the session is over");
    let mut status = intake.status();
    patient(status.wait_for(Status::is_up)).await.expect("a status");
    publisher.publish(batch("after")).await.expect("a stored message");
    let after = delivery(&mut intake).await;
    assert_eq!(id(&after), "after");
    assert!(after.generation > generation);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_intake_takes_nothing_more_and_still_acknowledges() {
    let stage = Setup::new(Broker::shared(), "stopped").declared().await;
    let publisher = stage.publisher();
    for n in 0..20 {
        publisher.publish(batch(n)).await.expect("a stored message");
    }
    let mut intake = stage.intake("testmo.cases", 10);
    let mut held = vec![delivery(&mut intake).await, delivery(&mut intake).await, delivery(&mut intake).await];
    intake.control().stop();
    while let Some(Event::Delivery(late)) = patient(intake.next()).await {
        late.handle.give_back().await.expect("given back");
    }
    let first = held.remove(0);
    first.handle.give_back().await.expect("given back");
    for delivery in held {
        delivery.handle.ack().await.expect("an acknowledgement");
    }
    stage.end().await;
    // The broker does not confirm acknowledgements, so it may still be processing them.
    until(async || Broker::shared().depth("stopped", "testmo.cases") == 18).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_intake_gives_back_what_waits_and_goes_on_later() {
    let stage = Setup::new(Broker::shared(), "paused").declared().await;
    let publisher = stage.publisher();
    let mut intake = stage.intake("testmo.cases", 10);
    publisher.publish(batch("first")).await.expect("a stored message");
    let first = delivery(&mut intake).await;
    intake.control().pause();
    until(async || Broker::shared().consumers("paused") == 0).await;
    publisher.publish(batch("second")).await.expect("a stored message");
    first.handle.ack().await.expect("an acknowledgement during the pause");
    until(async || Broker::shared().depth("paused", "testmo.cases") == 1).await;
    intake.control().resume();
    let second = delivery(&mut intake).await;
    assert_eq!((id(&second).as_str(), second.generation), ("second", first.generation));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_messages_bring_the_prefetch_up_to_the_setting() {
    let stage = Setup::new(Broker::shared(), "small").declared().await;
    let publisher = stage.publisher();
    publish(&publisher, 0..60, 2_000).await;
    let mut intake = stage.intake("testmo.cases", 50);
    hold_and_acknowledge(&mut intake, 0..30).await;
    collect(&mut intake, 30).await;
    until(async || Broker::shared().prefetch_counts("small") == [50]).await;
    stage.end().await;
    until(async || Broker::shared().depth("small", "testmo.cases") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_bring_the_prefetch_down_and_none_is_given_back_for_it() {
    let stage = Setup::new(Broker::shared(), "large").declared().await;
    let publisher = stage.publisher();
    publish(&publisher, 0..30, 2_000).await;
    let mut intake = stage.intake("testmo.cases", 20);
    collect(&mut intake, 30).await;
    until(async || Broker::shared().prefetch_counts("large") == [20]).await;
    // All are there before the first is taken, so that none is on its way when the prefetch changes.
    intake.control().pause();
    until(async || Broker::shared().consumers("large") == 0).await;
    publish(&publisher, 30..42, MEMORY / 4).await;
    intake.control().resume();
    hold_and_acknowledge(&mut intake, 30..42).await;
    until(async || Broker::shared().prefetch_counts("large") == [1]).await;
    publish(&publisher, 42..200, 2_000).await;
    collect(&mut intake, 158).await;
    until(async || Broker::shared().prefetch_counts("large") == [20]).await;
    stage.end().await;
    until(async || Broker::shared().depth("large", "testmo.cases") == 0).await;
}

async fn publish(publisher: &Publisher, ids: std::ops::Range<u64>, bytes: u64) {
    let body = vec![b'x'; usize::try_from(bytes).expect("a size")];
    for n in ids {
        publisher.publish(Outgoing { body: body.clone(), ..batch(n) }).await.expect("a stored message");
    }
}

/// Takes these messages, which come in their order and for the first time, and then acknowledges them. None is
/// acknowledged earlier: when a subscription ends, the broker takes back what is on its way, as for an acknowledgement.
async fn hold_and_acknowledge(intake: &mut Intake, ids: std::ops::Range<u64>) {
    let mut held = Vec::new();
    for n in ids {
        let delivery = delivery(intake).await;
        assert_eq!((id(&delivery), delivery.redelivered), (n.to_string(), false));
        held.push(delivery);
    }
    for delivery in held {
        delivery.handle.ack().await.expect("an acknowledgement");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_stay_in_hand_keep_no_other_from_coming_while_there_is_memory() {
    let stage = Setup::new(Broker::shared(), "staying").declared().await;
    let publisher = stage.publisher();
    publish(&publisher, 0..6, MEMORY / 4).await;
    let mut intake = stage.intake("testmo.cases", 20);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(delivery(&mut intake).await);
    }
    // The memory is used up, whatever the prefetch is: the next one comes for one that is released.
    for _ in 0..2 {
        held.remove(0).handle.ack().await.expect("an acknowledgement");
        held.push(delivery(&mut intake).await);
    }
    assert_eq!(held.iter().map(id).collect::<Vec<_>>(), ["2", "3", "4", "5"]);
    for delivery in held {
        delivery.handle.ack().await.expect("an acknowledgement");
    }
    stage.end().await;
    until(async || Broker::shared().depth("staying", "testmo.cases") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_ends_a_change_of_the_prefetch() {
    let stage = Setup::new(Broker::shared(), "changing").declared().await;
    let publisher = stage.publisher();
    for n in 0..20 {
        publisher.publish(batch(n)).await.expect("a stored message");
    }
    let mut intake = stage.intake("testmo.cases", 10);
    let control = intake.control();
    let mut left: std::collections::BTreeSet<String> = (0..20).map(|n| n.to_string()).collect();
    while !left.is_empty() {
        // The prefetch changes after the second message and some later ones.
        let delivery = delivery(&mut intake).await;
        control.pause();
        left.remove(&id(&delivery));
        delivery.handle.ack().await.expect("an acknowledgement");
        control.resume();
    }
    stage.end().await;
    until(async || Broker::shared().depth("changing", "testmo.cases") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_sees_the_events_it_asked_for() {
    let stage = Setup::new(Broker::shared(), "tail").declared().await;
    let publisher = stage.publisher();
    let mut tail = Tail::open(&stage.config, "acme.#").await.expect("a tail");
    let error = publisher.publish(message("testmo.events", "other.delivered", 0)).await.expect_err("nobody listens");
    assert!(matches!(error, PublishError::Unroutable { .. }), "{error}");
    for n in 1..=300 {
        publisher.publish(message("testmo.events", "acme.delivered", n)).await.expect("a stored message");
        let event = patient(tail.next()).await.expect("an event");
        assert_eq!(event.message_id, Some(n.to_string()));
    }
    tail.close().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_read_does_not_take_its_neighbours_along() {
    let mut stage = Setup::new(Broker::shared(), "unreadable");
    stage.config.delivery_limit = 3;
    let stage = stage.declared().await;
    let publisher = stage.publisher();
    Broker::shared().publish_unreadable("unreadable", "testmo.cases", "batch.acme");
    for n in 0..10 {
        publisher.publish(batch(n)).await.expect("a stored message");
    }
    let mut intake = stage.intake("testmo.cases", 10);
    let first = delivery(&mut intake).await;
    let unreadable = first.message.unreadable.expect("a header that cannot be read");
    assert_eq!(unreadable.detail, "the property message_id is not UTF-8");
    assert_eq!(unreadable.bytes[..12], [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]);
    assert_eq!((first.message.body.as_slice(), first.message.message_id), (&b"body"[..], None));
    first.handle.ack().await.expect("an acknowledgement");
    let ids = collect(&mut intake, 10).await;
    assert_eq!(ids, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    until(async || Broker::shared().depth("unreadable", "testmo.cases") == 0).await;
    assert_eq!(Broker::shared().depth("unreadable", "testmo.cases.dead"), 0);
    stage.end().await;
}
