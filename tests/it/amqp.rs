//! Checks that every message that is reported as stored is stored, and that every lost connection is opened again.

mod connecting;
mod consuming;
mod publishing;
mod reconnecting;

use std::time::Duration;

use testmo_courier::amqp::topology::{Argument, ArgumentValue, Object, topology};
use testmo_courier::amqp::*;
use testmo_courier::config::{Amqp, Sources, load};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::broker::Broker;
use crate::support::waiting::patient;

/// The memory of an intake, in bytes.
const MEMORY: u64 = 4_000_000;

/// The virtual host of a test, and tasks that end with the test.
struct Setup {
    config: Amqp,
    tasks: TaskTracker,
    close: CancellationToken,
}

impl Setup {
    fn new(broker: &Broker, name: &str) -> Self {
        broker.add_vhost(name);
        let config = Amqp {
            url: broker.url(name),
            reconnect_backoff_min: Duration::from_millis(100),
            reconnect_backoff_max: Duration::from_secs(2),
            ..defaults()
        };
        Self { config, tasks: TaskTracker::new(), close: CancellationToken::new() }
    }

    fn publisher(&self) -> Publisher {
        Publisher::start(&self.config, &self.tasks, self.close.clone())
    }

    fn intake(&self, queue: &str, prefetch: u16) -> Intake {
        let subscription = Subscription { queue: queue.to_owned(), prefetch, memory: MEMORY };
        Intake::start(&self.config, subscription, &self.tasks, self.close.clone())
    }

    async fn declared(self) -> Self {
        let link = connect_once(&self.config, "test").await.expect("a connection");
        let findings = declare(&link, &topology(&self.config)).await.expect("a declaration");
        assert_eq!(findings, []);
        link.close().await;
        self
    }

    async fn end(self) {
        self.close.cancel();
        self.tasks.close();
        patient(self.tasks.wait()).await;
    }
}

fn defaults() -> Amqp {
    load(&Sources::default()).expect("the defaults").amqp
}

fn batch(id: impl ToString) -> Outgoing {
    message("testmo.cases", "batch.acme", id)
}

fn message(exchange: &str, routing_key: &str, id: impl ToString) -> Outgoing {
    Outgoing {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        body: vec![b'x'; 2000],
        message_id: Some(id.to_string()),
        timestamp_secs: Some(1_700_000_000),
        headers: [("attempt".to_owned(), HeaderValue::Number(1))].into(),
        ..Outgoing::default()
    }
}

fn id(delivery: &Delivery) -> String {
    delivery.message.message_id.clone().expect("a message id")
}

async fn delivery(intake: &mut Intake) -> Delivery {
    match patient(intake.next()).await {
        Some(Event::Delivery(delivery)) => *delivery,
        other => panic!("expected a delivery, got {other:?}"),
    }
}

async fn collect(intake: &mut Intake, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    while ids.len() < count {
        let delivery = delivery(intake).await;
        ids.push(id(&delivery));
        delivery.handle.ack().await.expect("an acknowledgement");
    }
    ids
}

/// Publishes until the broker has stored the message, as the outbox does.
async fn publish_at_last(publisher: &Publisher, outgoing: Outgoing) {
    patient(async { while publisher.publish(outgoing.clone()).await.is_err() {} }).await;
}

fn queue(name: &str, arguments: Vec<Argument>) -> Object {
    Object::Queue { name: name.to_owned(), arguments }
}

fn text(name: &'static str, value: &str) -> Argument {
    Argument { name, value: ArgumentValue::Text(value.to_owned()) }
}

fn bind(exchange: &str, queue: &str, routing_key: &str) -> Object {
    Object::Binding { exchange: exchange.to_owned(), queue: queue.to_owned(), routing_key: routing_key.to_owned() }
}
