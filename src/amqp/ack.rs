//! How does the broker learn that a message is done with?

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Acker, Channel};
use tokio_util::sync::CancellationToken;

use super::call::limited;

/// The right to acknowledge one delivery. Dropped unused, the message stays with this worker until
/// the session ends, and is then delivered again.
#[derive(Debug)]
#[must_use = "a delivery that is not acknowledged counts against the prefetch limit"]
pub struct AckHandle(Box<dyn Acknowledge>);

/// How a broker is told what became of one delivery; the seam at which simulations put another broker.
#[async_trait]
pub trait Acknowledge: fmt::Debug + Send + Sync {
    /// Tells it.
    ///
    /// # Errors
    /// When the session is over or the broker does not read; the message will come again.
    async fn tell(&self, end: DeliveryEnd) -> Result<(), AckLost>;
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// It is done with.
    Done,
    /// It goes back to its queue.
    GivenBack,
}

/// A delivery of a lapin channel.
pub(super) struct OfChannel {
    acker: Acker,
    /// Closing a channel drops acknowledgements that are not written yet, and a channel is closed
    /// with its last clone.
    channel: Channel,
    limit: Duration,
    broken: CancellationToken,
}

/// The broker was not told, and will deliver the message again.
#[derive(Debug, thiserror::Error)]
#[error("the message will be delivered again: {cause}")]
pub struct AckLost {
    /// What kept the broker from being told.
    pub cause: String,
}

impl AckHandle {
    /// The handle of a delivery.
    pub fn new(delivery: impl Acknowledge + 'static) -> Self {
        Self(Box::new(delivery))
    }

    /// Tells the broker that the message is done with. `Ok` means written to the connection: a
    /// connection that dies in that moment can still bring the message back.
    ///
    /// # Errors
    /// When the session is over or the broker does not read; the message will come again.
    pub async fn ack(self) -> Result<(), AckLost> {
        self.0.tell(DeliveryEnd::Done).await
    }

    /// Gives the message back, for another worker or later. RabbitMQ before 4.3 counts it as a
    /// failed delivery.
    ///
    /// # Errors
    /// When the session is over or the broker does not read; the message will come again anyhow.
    pub async fn give_back(self) -> Result<(), AckLost> {
        self.0.tell(DeliveryEnd::GivenBack).await
    }
}

#[async_trait]
impl Acknowledge for OfChannel {
    async fn tell(&self, end: DeliveryEnd) -> Result<(), AckLost> {
        match end {
            DeliveryEnd::Done => self.settle("basic.ack", self.acker.ack(BasicAckOptions::default())).await,
            DeliveryEnd::GivenBack => {
                let options = BasicNackOptions { requeue: true, ..Default::default() };
                self.settle("basic.nack", self.acker.nack(options)).await
            }
        }
    }
}

impl OfChannel {
    pub(super) fn new(acker: Acker, channel: Channel, limit: Duration, broken: CancellationToken) -> Self {
        Self { acker, channel, limit, broken }
    }

    async fn settle(
        &self,
        call: &'static str,
        telling: impl Future<Output = lapin::Result<bool>>,
    ) -> Result<(), AckLost> {
        if self.broken.is_cancelled() {
            return Err(AckLost { cause: "its session is over".to_owned() });
        }
        let cause = match limited(call, self.limit, telling).await {
            Ok(true) => return Ok(()),
            Ok(false) => "its session is over".to_owned(),
            Err(error) => {
                // A channel on which something hangs is not used again.
                self.broken.cancel();
                error.to_string()
            }
        };
        Err(AckLost { cause })
    }
}

impl fmt::Debug for OfChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OfChannel")
            .field("channel", &self.channel.id())
            .field("usable", &self.acker.usable())
            .finish_non_exhaustive()
    }
}
