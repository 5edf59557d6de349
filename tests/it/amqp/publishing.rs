//! Publishes to full queues, missing exchanges and wrong keys, and compares the reports with the queues.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use testmo_courier::amqp::topology::{Argument, ArgumentValue, Object, Routing};
use testmo_courier::amqp::*;
use testmo_courier::config::Amqp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Setup, batch, bind, collect, defaults, delivery, id, message, publish_at_last, queue, text};
use crate::support::broker::Broker;
use crate::support::waiting::{patient, until};

/// Declares an exchange with a queue that takes every message and a queue that is soon full.
async fn crossing(stage: &Setup) {
    let full = vec![
        text("x-queue-type", "quorum"),
        Argument { name: "x-max-length", value: ArgumentValue::Number(20) },
        text("x-overflow", "reject-publish"),
    ];
    let objects = [
        Object::Exchange { name: "crossing".to_owned(), routing: Routing::Topic, arguments: vec![] },
        queue("wide", vec![text("x-queue-type", "quorum")]),
        queue("narrow", full),
        bind("crossing", "wide", "wide"),
        bind("crossing", "narrow", "narrow"),
    ];
    let link = connect_once(&stage.config, "test").await.expect("a connection");
    assert_eq!(declare(&link, &objects).await.expect("a declaration"), []);
    link.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reported_as_stored_is_exactly_what_the_queues_hold() {
    let mut stage = Setup::new(Broker::shared(), "exactly");
    stage.config.declare_topology = false;
    stage.config.publish_channels = 16;
    crossing(&stage).await;
    let publisher = stage.publisher();
    let mut publishers = JoinSet::new();
    for task in 0..32 {
        let publisher = publisher.clone();
        publishers.spawn(async move {
            let mut stored = BTreeMap::from([("wide", BTreeSet::new()), ("narrow", BTreeSet::new())]);
            let mut refused = 0;
            for n in 0..1000 {
                let key = ["nobody", "narrow", "wide", "wide", "wide", "missing", "wide"][n % 7];
                let exchange = if key == "missing" && n % 70 == 5 { "no such exchange" } else { "crossing" };
                let name = format!("{key}-{task}-{n}");
                match publisher.publish(message(exchange, key, &name)).await {
                    Ok(()) => drop(stored.get_mut(key).expect("a queue").insert(name)),
                    Err(PublishError::Refused { .. }) if key == "narrow" => refused += 1,
                    Err(PublishError::Unroutable { code: 312, .. }) if key == "nobody" || key == "missing" => {}
                    Err(PublishError::Forbidden { code: 404, .. }) if exchange != "crossing" => {}
                    Err(error) => panic!("{name}: {error}"),
                }
            }
            (stored, refused)
        });
    }
    let (mut stored, mut refused) = (BTreeMap::<_, BTreeSet<String>>::new(), 0);
    while let Some(done) = publishers.join_next().await {
        let (part, part_refused) = done.expect("a publisher");
        part.into_iter().for_each(|(queue, ids)| stored.entry(queue).or_default().extend(ids));
        refused += part_refused;
    }
    assert!(refused > 1000, "the narrow queue was never full: {refused}");
    for (queue, expected) in stored {
        assert_eq!(Broker::shared().depth("exactly", queue), expected.len(), "{queue}");
        let mut intake = stage.intake(queue, 200);
        let found: BTreeSet<_> = collect(&mut intake, expected.len()).await.into_iter().collect();
        assert_eq!(found, expected, "{queue}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_for_a_missing_exchange_is_refused_and_the_pool_goes_on() {
    let mut stage = Setup::new(Broker::shared(), "missing").declared().await;
    stage.config.publish_channels = 1;
    let publisher = stage.publisher();
    for n in 0..3 {
        let error = publisher.publish(message("nowhere", "k", n)).await.expect_err("no exchange");
        assert!(matches!(&error, PublishError::Forbidden { code: 404, .. }), "{error}");
        assert!(error.to_string().contains("nowhere") && !error.may_be_stored());
        assert_eq!(error.fault(), PublishFault::Topology);
        publisher.publish(batch(n)).await.expect("a stored message");
    }
    assert_eq!(Broker::shared().depth("missing", "testmo.cases"), 3);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_routing_key_ends_in_the_unrouted_queue() {
    let stage = Setup::new(Broker::shared(), "unrouted").declared().await;
    stage.publisher().publish(message("testmo.cases", "bach.acme", 1)).await.expect("a stored message");
    let mut intake = stage.intake("testmo.unrouted", 10);
    let delivery = delivery(&mut intake).await;
    assert_eq!(delivery.message.routing_key, "bach.acme");
    assert_eq!(delivery.message.timestamp_ms, Some(1_700_000_000_000));
    assert_eq!(delivery.message.headers["attempt"], "1");
    assert!(!delivery.redelivered);
    delivery.handle.ack().await.expect("an acknowledgement");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_a_publish_is_refused_as_not_sent() {
    let mut config = Amqp { url: "amqp://127.0.0.1:1/%2f".to_owned(), ..defaults() };
    config.publish_timeout = Duration::from_millis(300);
    let (tasks, close) = (TaskTracker::new(), CancellationToken::new());
    let publisher = Publisher::start(&config, &tasks, close.clone());
    let error = publisher.publish(batch(1)).await.expect_err("no broker");
    assert!(matches!(&error, PublishError::Unavailable { cause } if cause.contains("127.0.0.1:1")), "{error}");
    close.cancel();
    tasks.close();
    patient(tasks.wait()).await;
    assert_eq!(*publisher.status().borrow(), Status::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_short_of_memory_is_visible_and_acknowledgements_still_flow() {
    let broker = Broker::start();
    let mut stage = Setup::new(&broker, "alarm").declared().await;
    let patient_publisher = stage.publisher();
    for n in 0..5 {
        patient_publisher.publish(batch(n)).await.expect("a stored message");
    }
    stage.config.publish_timeout = Duration::from_secs(1);
    stage.config.confirm_timeout = Duration::from_secs(1);
    let publisher = stage.publisher();
    // It has open channels, and if this message is sent more than once, it is not among those that are counted.
    publish_at_last(&publisher, message("testmo.cases", "bach.acme", 1)).await;
    let mut intake = stage.intake("testmo.cases", 10);
    broker.ctl(&["set_vm_memory_high_watermark", "0.00001"]);
    let mut status = publisher.status();
    let unclear = publisher.publish(batch("while blocked")).await;
    patient(status.wait_for(Status::is_blocked)).await.expect("a status");
    let error = publisher.publish(batch("later")).await.expect_err("blocked");
    assert!(matches!(error, PublishError::Unavailable { .. }), "{error}");
    assert_eq!(collect(&mut intake, 5).await.len(), 5);
    until(async || broker.depth("alarm", "testmo.cases") == 0).await;
    broker.ctl(&["set_vm_memory_high_watermark", "0.4"]);
    publish_at_last(&publisher, batch("afterwards")).await;
    patient(status.wait_for(Status::is_up)).await.expect("a status");
    // The message with the unknown outcome may have been stored, and no other message.
    let mut ids = vec![id(&delivery(&mut intake).await)];
    if ids[0] == "while blocked" {
        assert!(unclear.is_ok() || unclear.is_err_and(|error| error.may_be_stored()));
        ids = vec![id(&delivery(&mut intake).await)];
    }
    assert_eq!(ids, ["afterwards"]);
    stage.end().await;
}
