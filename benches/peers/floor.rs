//! Consumes, posts and acknowledges with the least code that can do the work; no event, no ledger.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use testmo::{Batch, post, setting};
use tokio::sync::Semaphore;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (url, key, folder) = (setting("CASES_URL")?, setting("API_KEY")?, setting("FOLDER_ID")?.parse()?);
    let at_once = Arc::new(Semaphore::new(setting("IN_FLIGHT")?.parse()?));
    let client = reqwest::Client::builder().no_proxy().build()?;
    let connection = Connection::connect(&setting("AMQP_URL")?, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(setting("PREFETCH")?.parse()?, BasicQosOptions::default()).await?;
    let queue = setting("CASES_QUEUE")?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(queue.into(), "floor".into(), options, FieldTable::default()).await?;
    while let Some(delivery) = consumer.next().await {
        let (delivery, permit) = (delivery?, Arc::clone(&at_once).acquire_owned().await?);
        let (client, url, key) = (client.clone(), url.clone(), key.clone());
        tokio::spawn(async move {
            let batch: Batch = serde_json::from_slice(&delivery.data)?;
            post(&client, &url, &key, folder, &batch).await?;
            drop(permit);
            delivery.acker.ack(BasicAckOptions::default()).await?;
            anyhow::Ok(())
        });
    }
    Ok(())
}
