use std::sync::Arc;

use testmo_courier::amqp::{Delivery, DeliveryEnd, Event, Intake};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::weather::Rates;

struct Side {
    broker: Arc<Broker>,
    links: TaskTracker,
    close: CancellationToken,
}

fn broker(delivery_limit: u64) -> Side {
    let diary = Arc::new(Diary::begin(false));
    let weather = Arc::new(Weather::new(1, Rates::default()));
    weather.calm_down();
    let broker = Broker::new(delivery_limit, None, diary, weather);
    Side { broker, links: TaskTracker::new(), close: CancellationToken::new() }
}

impl Side {
    fn intake(&self, worker: u64, fuse: &Fuse, prefetch: usize) -> Intake {
        let worker = (worker, fuse.clone());
        intake(&self.broker, Queue::Cases, prefetch, worker, &self.links, self.close.clone())
    }

    fn publish(&self, bodies: &[&str]) {
        for body in bodies {
            self.broker.publish(Queue::Cases, "testmo.cases", body.as_bytes().to_vec());
        }
    }
}

async fn delivery(intake: &mut Intake) -> (String, Delivery) {
    match intake.next().await {
        Some(Event::Delivery(delivery)) => {
            (String::from_utf8(delivery.message.body.clone()).expect("a text"), *delivery)
        }
        other => panic!("expected a delivery, not {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_worker_had_in_hand_comes_to_another_one_in_order_and_counted() {
    let side = broker(50);
    side.publish(&["a", "b", "c"]);
    let fuse = Fuse::new();
    let mut first = side.intake(1, &fuse, 2);
    let (body, a) = delivery(&mut first).await;
    assert_eq!((body.as_str(), a.message.headers["x-delivery-count"].as_str()), ("a", "0"));
    let (_, b) = delivery(&mut first).await;
    b.handle.ack().await.expect("settled");
    fuse.blow();
    let mut second = side.intake(2, &Fuse::new(), 9);
    let (body, a) = delivery(&mut second).await;
    assert_eq!((body.as_str(), a.message.headers["x-delivery-count"].as_str()), ("a", "1"));
    assert_eq!(delivery(&mut second).await.0, "c");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_handed_out_than_may_be_in_hand() {
    let side = broker(50);
    side.publish(&["a", "b"]);
    let mut intake = side.intake(1, &Fuse::new(), 1);
    let (_, a) = delivery(&mut intake).await;
    let next = tokio::time::timeout(std::time::Duration::from_secs(9), intake.next()).await;
    assert!(next.is_err(), "{next:?}");
    a.handle.ack().await.expect("settled");
    assert_eq!(delivery(&mut intake).await.0, "b");
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_told_and_its_acknowledgements_count_no_more() {
    let side = broker(50);
    side.publish(&["a"]);
    let mut intake = side.intake(1, &Fuse::new(), 5);
    let (_, a) = delivery(&mut intake).await;
    side.broker.cut(Some(1));
    assert!(matches!(intake.next().await, Some(Event::Lost(lost)) if lost == a.generation));
    a.handle.ack().await.expect_err("the session has ended");
    let (_, again) = delivery(&mut intake).await;
    assert!(again.redelivered && again.generation > a.generation);
    again.handle.ack().await.expect("settled");
    assert_eq!(side.broker.left(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_too_often_goes_to_the_dead_letters() {
    let side = broker(2);
    side.publish(&["a"]);
    let mut intake = side.intake(1, &Fuse::new(), 5);
    for count in 0..=2 {
        let (_, a) = delivery(&mut intake).await;
        assert_eq!(a.message.headers["x-delivery-count"], count.to_string());
        a.handle.give_back().await.expect("settled");
    }
    let worker = (1, Fuse::new());
    let mut dead = super::intake(&side.broker, Queue::Dead, 5, worker, &side.links, side.close.clone());
    assert_eq!(delivery(&mut dead).await.0, "a");
}

#[tokio::test(start_paused = true)]
async fn an_intake_that_is_stopped_ends_and_what_it_had_in_hand_can_still_be_settled() {
    let side = broker(50);
    side.publish(&["a", "b"]);
    let mut intake = side.intake(1, &Fuse::new(), 1);
    let (_, a) = delivery(&mut intake).await;
    intake.control().stop();
    assert!(intake.next().await.is_none());
    side.broker.settle(Queue::Cases, 1, 1, DeliveryEnd::Done);
    a.handle.ack().await.expect("settled");
    assert_eq!(side.broker.left(), 1);
}
