//! Delivers batches with omniqueue in a serial loop: receive, post, send, acknowledge.
//!
//! omniqueue publishes without confirms.

use omniqueue::backends::rabbitmq::{
    BasicConsumeOptions, BasicProperties, BasicPublishOptions, ConnectionProperties, FieldTable, RabbitMqBackend,
    RabbitMqConfig,
};
use testmo::{Batch, post, setting};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (url, key, folder) = (setting("CASES_URL")?, setting("API_KEY")?, setting("FOLDER_ID")?.parse()?);
    let client = reqwest::Client::builder().no_proxy().build()?;
    let config = RabbitMqConfig {
        uri: setting("AMQP_URL")?,
        connection_properties: ConnectionProperties::default(),
        publish_exchange: setting("EVENTS_EXCHANGE")?,
        publish_routing_key: "omniqueue.batch.delivered".to_owned(),
        publish_options: BasicPublishOptions::default(),
        publish_properties: BasicProperties::default().with_delivery_mode(2),
        consume_queue: setting("CASES_QUEUE")?,
        consumer_tag: "omniqueue".to_owned(),
        consume_options: BasicConsumeOptions::default(),
        consume_arguments: FieldTable::default(),
        consume_prefetch_count: Some(setting("PREFETCH")?.parse()?),
        requeue_on_nack: true,
    };
    let (producer, mut consumer) = RabbitMqBackend::builder(config).build_pair().await?;
    loop {
        let mut delivery = consumer.receive().await?;
        let payload = delivery.take_payload().unwrap_or_default();
        let batch: Batch = serde_json::from_slice(&payload)?;
        let created = post(&client, &url, &key, folder, &batch).await?;
        producer.send_raw(&batch.delivered(&created)?).await?;
        delivery.ack().await.map_err(|(error, _)| error)?;
    }
}
