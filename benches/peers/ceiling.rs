//! Consumes, publishes a confirmed event and acknowledges: the upper bound of the speed, without any request to Testmo.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use testmo::setting;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

/// Channels that publish, each with one event in flight.
const CHANNELS: usize = 64;
/// An event about as long as that of a batch of five cases.
const EVENT: [u8; 400] = [b'x'; 400];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (amqp, exchange) = (setting("AMQP_URL")?, setting("EVENTS_EXCHANGE")?);
    let consuming = Connection::connect(&amqp, ConnectionProperties::default()).await?;
    let publishing = Connection::connect(&amqp, ConnectionProperties::default()).await?;
    let channel = consuming.create_channel().await?;
    channel.basic_qos(setting("PREFETCH")?.parse()?, BasicQosOptions::default()).await?;
    let queue = setting("CASES_QUEUE")?;
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue.into(), "ceiling".into(), options, FieldTable::default()).await?;
    let consumer = Arc::new(Mutex::new(consumer));
    let mut tasks = JoinSet::new();
    for _ in 0..CHANNELS {
        let events = publishing.create_channel().await?;
        events.confirm_select(ConfirmSelectOptions::default()).await?;
        tasks.spawn(carry(Arc::clone(&consumer), events, exchange.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn carry(consumer: Arc<Mutex<Consumer>>, events: Channel, exchange: String) -> anyhow::Result<()> {
    loop {
        let Some(delivery) = consumer.lock().await.next().await else { return Ok(()) };
        let delivery = delivery?;
        let properties = BasicProperties::default().with_delivery_mode(2);
        let key = "ceiling.delivered".into();
        let options = BasicPublishOptions::default();
        events.basic_publish(exchange.as_str().into(), key, options, &EVENT, properties).await?.await?;
        delivery.acker.ack(BasicAckOptions::default()).await?;
    }
}
