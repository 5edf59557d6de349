//! Puts messages into a virtual host, counts them and reads them back, through the harness's own connection.

use std::collections::VecDeque;

use anyhow::Context;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::json;
use testmo_courier::amqp;
use testmo_courier::amqp::topology::{Argument, ArgumentValue, Object, topology};
use testmo_courier::config;

use crate::message::Draft;

/// The queue in which all events are kept.
pub(crate) const EVENTS: &str = "bench.events";
/// How many published messages may be unconfirmed at once.
const WINDOW: usize = 2_000;

/// A connection to a virtual host that has the project's exchanges and queues.
pub(crate) struct Bus {
    connection: Connection,
    channel: Channel,
    /// The channel for publishing, which must not be closed by a passive declaration that fails.
    publishing: Channel,
    names: config::Amqp,
}

impl Bus {
    /// Declares the worker's exchanges and queues, and a queue for the events with these routing keys.
    pub(crate) async fn open(amqp: &config::Amqp, heard: &[String]) -> anyhow::Result<Self> {
        let mut objects = topology(amqp);
        let quorum = Argument { name: "x-queue-type", value: ArgumentValue::Text("quorum".into()) };
        objects.push(Object::Queue { name: EVENTS.into(), arguments: vec![quorum] });
        objects.extend(heard.iter().map(|routing_key| Object::Binding {
            exchange: amqp.events_exchange.clone(),
            queue: EVENTS.into(),
            routing_key: routing_key.clone(),
        }));
        let link = amqp::connect_once(amqp, "bench").await?;
        let findings = amqp::declare(&link, &objects).await?;
        link.close().await;
        anyhow::ensure!(findings.is_empty(), "{findings:?}");
        let connection = Connection::connect(&amqp.url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let publishing = connection.create_channel().await?;
        publishing.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel, publishing, names: amqp.clone() })
    }

    /// Publishes messages, many at a time, and waits until the broker has them all.
    pub(crate) async fn fill(&self, drafts: impl Iterator<Item = Draft>) -> anyhow::Result<()> {
        let mut waiting = VecDeque::with_capacity(WINDOW);
        for draft in drafts {
            waiting.push_back(self.send(&draft).await?);
            if waiting.len() == WINDOW
                && let Some(first) = waiting.pop_front()
            {
                first.await?;
            }
        }
        for confirm in waiting {
            confirm.await?;
        }
        Ok(())
    }

    /// Publishes one message, and returns its pending confirm.
    pub(crate) async fn send(&self, draft: &Draft) -> anyhow::Result<lapin::PublisherConfirm> {
        let (exchange, options) = (self.names.cases_exchange.as_str().into(), BasicPublishOptions::default());
        let sent =
            self.publishing.basic_publish(exchange, "batch".into(), options, &draft.body, draft.properties.clone());
        Ok(sent.await?)
    }

    /// Publishes an event without a contestant, and returns its pending confirm.
    pub(crate) async fn tell(&self, subject: &str) -> anyhow::Result<lapin::PublisherConfirm> {
        let (exchange, options) = (self.names.events_exchange.as_str().into(), BasicPublishOptions::default());
        let body = json!({"subject": subject, "type": "bench.batch.delivered.v1", "filler": "x".repeat(1_000)});
        let properties = BasicProperties::default().with_delivery_mode(2);
        let body = body.to_string();
        Ok(self.publishing.basic_publish(exchange, "bench".into(), options, body.as_bytes(), properties).await?)
    }

    /// Returns how many batches are ready to be consumed.
    pub(crate) async fn batches_ready(&self) -> anyhow::Result<usize> {
        self.ready(&self.names.cases_queue).await
    }

    /// Returns how many events were published, provided that nobody consumes them.
    pub(crate) async fn events_ready(&self) -> anyhow::Result<usize> {
        self.ready(EVENTS).await
    }

    /// Returns the events as they arrive; each is removed from the queue when it is read.
    pub(crate) async fn events(&self) -> anyhow::Result<Consumer> {
        let channel = self.connection.create_channel().await?;
        channel.basic_qos(1_000, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        Ok(channel.basic_consume(EVENTS.into(), "bench".into(), options, FieldTable::default()).await?)
    }

    pub(crate) async fn close(self) {
        // The broker may already have closed the connection.
        drop(self.connection.close(200, "done".into()).await);
    }

    async fn ready(&self, queue: &str) -> anyhow::Result<usize> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.channel.queue_declare(queue.into(), passive, FieldTable::default()).await;
        Ok(usize::try_from(queue.context("the depth of a queue")?.message_count())?)
    }
}
