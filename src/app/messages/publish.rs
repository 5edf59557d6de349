//! Publishes messages as a generator would.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::message::Message;
use crate::amqp::{self, ConnectError, PublishError, Publisher};
use crate::clock::Clock;
use crate::config::Amqp;

/// The routing key that the documentation gives to generators.
const ROUTING_KEY: &str = "batch";

/// Checks that the broker can be reached. A publisher reports that only after it has tried for long.
///
/// # Errors
/// When it cannot.
pub async fn check_broker(config: &Amqp) -> Result<(), ConnectError> {
    amqp::connect_once(config, "publish").await?.close().await;
    Ok(())
}

/// Publishes messages one after the other, so that batches keep their order; `published` gets each that is stored.
///
/// # Errors
/// When one cannot be published, or `published` fails; those after it are not published.
pub async fn publish<'a, E: From<PublishError>>(
    config: &Amqp,
    messages: impl IntoIterator<Item = &'a Message>,
    published: impl FnMut(&Message) -> Result<(), E>,
) -> Result<(), E> {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let publisher = Publisher::start(config, &tasks, stop.clone());
    tasks.close();
    let end = publish_each(&publisher, config, messages, published).await;
    stop.cancel();
    tasks.wait().await;
    end
}

async fn publish_each<'a, E: From<PublishError>>(
    publisher: &Publisher,
    config: &Amqp,
    messages: impl IntoIterator<Item = &'a Message>,
    mut published: impl FnMut(&Message) -> Result<(), E>,
) -> Result<(), E> {
    for message in messages {
        let now = Clock::system().now();
        publisher.publish(message.outgoing(&config.cases_exchange, ROUTING_KEY, now)).await?;
        published(message)?;
    }
    Ok(())
}
