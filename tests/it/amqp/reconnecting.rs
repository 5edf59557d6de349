//! Loses connections and brokers in the middle of publishing and consuming.

use std::collections::BTreeSet;

use testmo_courier::amqp::*;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Setup, batch, collect, delivery, id, publish_at_last};
use crate::support::broker::{Broker, QUEUE_SETTLES};
use crate::support::waiting::{patient, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publisher_and_intake_reconnect_after_all_connections_were_closed() {
    let stage = Setup::new(Broker::shared(), "closed").declared().await;
    publisher_and_intake_reconnect(stage, Broker::shared(), |broker| {
        broker.ctl(&["close_all_connections", "-p", "closed", "test"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publisher_and_intake_reconnect_after_the_broker_was_killed() {
    let broker = Broker::start();
    let stage = Setup::new(&broker, "killed").declared().await;
    tokio::time::sleep(QUEUE_SETTLES).await;
    publisher_and_intake_reconnect(stage, &broker, |broker| {
        broker.kill();
        broker.boot();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_of_publishing_loses_nothing_that_was_stored() {
    let broker = Broker::start();
    let stage = Setup::new(&broker, "midst").declared().await;
    tokio::time::sleep(QUEUE_SETTLES).await;
    let publisher = stage.publisher();
    let done = CancellationToken::new();
    let mut publishers = JoinSet::new();
    for task in 0..16 {
        let (publisher, done) = (publisher.clone(), done.clone());
        publishers.spawn(async move {
            let (mut stored, mut unclear) = (BTreeSet::new(), BTreeSet::new());
            for n in 0.. {
                let name = format!("{task}-{n}");
                match publisher.publish(batch(&name)).await {
                    Ok(()) => drop(stored.insert(name)),
                    Err(error) if error.may_be_stored() => drop(unclear.insert(name)),
                    Err(_) => {}
                }
                if done.is_cancelled() {
                    return (stored, unclear);
                }
            }
            unreachable!("the names never end")
        });
    }
    for _ in 0..2 {
        let mut status = publisher.status();
        publish_at_last(&publisher, batch("before")).await;
        broker.kill();
        patient(status.wait_for(|status| !status.is_up())).await.expect("a status");
        broker.boot();
        publish_at_last(&publisher, batch("after")).await;
    }
    done.cancel();
    let (mut stored, mut unclear) = (BTreeSet::new(), BTreeSet::from(["before".to_owned(), "after".to_owned()]));
    while let Some(publisher) = publishers.join_next().await {
        let (part, part_unclear) = publisher.expect("a publisher");
        stored.extend(part);
        unclear.extend(part_unclear);
    }
    assert!(unclear.len() > 2, "the kills hit nothing that was under way");
    let mut intake = stage.intake("testmo.cases", 200);
    let depth = broker.depth("midst", "testmo.cases");
    let found: BTreeSet<_> = collect(&mut intake, depth).await.into_iter().collect();
    assert_eq!(stored.difference(&found).count(), 0, "stored messages are gone");
    assert!(
        found.iter().all(|id| stored.contains(id) || unclear.contains(id)),
        "a message said not to be sent is there"
    );
    stage.end().await;
}

async fn publisher_and_intake_reconnect(stage: Setup, broker: &Broker, trouble: impl FnOnce(&Broker)) {
    let publisher = stage.publisher();
    let vhost = stage.config.url.rsplit('/').next().expect("a virtual host").to_owned();
    let mut intake = stage.intake("testmo.cases", 50);
    for n in 0..200 {
        publisher.publish(batch(n)).await.expect("a stored message");
    }
    let acked: BTreeSet<_> = collect(&mut intake, 120).await.into_iter().collect();
    let mut held = Vec::new();
    for _ in 0..30 {
        held.push(delivery(&mut intake).await);
    }
    until(async || broker.depth(&vhost, "testmo.cases") == 80).await;
    trouble(broker);
    publish_at_last(&publisher, batch("afterwards")).await;
    let mut again = BTreeSet::new();
    let mut lost = false;
    while again.len() < 81 {
        match patient(intake.next()).await.expect("news") {
            Event::Lost(_) => lost = true,
            Event::Delivery(delivery) if lost => {
                again.insert(id(&delivery));
                delivery.handle.ack().await.expect("an acknowledgement");
            }
            // This message was delivered just before the connection was lost.
            Event::Delivery(_) => {}
        }
    }
    assert!(again.is_disjoint(&acked), "an acknowledged message came again");
    for delivery in held {
        assert!(again.contains(&id(&delivery)), "a message that was not acknowledged was lost");
        delivery.handle.ack().await.expect_err("the session has ended");
    }
    stage.end().await;
}
