//! Acknowledges a delivery to the broker, or gives it back.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Acker, Channel};
use tokio_util::sync::CancellationToken;

use super::call::limited;
use super::in_hand::Held;

/// The right to acknowledge one delivery. If the handle is dropped unused, the message stays with this worker until the
/// session ends, and is then delivered again.
#[derive(Debug)]
#[must_use = "a delivery that is not acknowledged counts against the prefetch limit"]
pub struct AckHandle(Box<dyn Acknowledge>);

/// Reports to a broker what became of one delivery; simulations put another broker here.
#[async_trait]
pub trait Acknowledge: fmt::Debug + Send + Sync {
    /// Reports the end of the delivery.
    ///
    /// # Errors
    /// When the session is over or the broker does not read; the message is delivered again.
    async fn tell(&self, end: DeliveryEnd) -> Result<(), AckLost>;
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    /// It is acknowledged.
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
    /// Counts the message as in hand until the handle is dropped.
    held: Held,
}

/// The broker did not receive the acknowledgement, and delivers the message again.
#[derive(Debug, thiserror::Error)]
#[error("the message will be delivered again: {cause}")]
pub struct AckLost {
    /// What prevented the acknowledgement.
    pub cause: String,
}

impl AckHandle {
    /// Creates the handle of a delivery.
    pub fn new(delivery: impl Acknowledge + 'static) -> Self {
        Self(Box::new(delivery))
    }

    /// Acknowledges the message. `Ok` means written to the connection: if the connection fails at that moment, the
    /// message can still be delivered again.
    ///
    /// # Errors
    /// When the session is over or the broker does not read; the message is delivered again.
    pub async fn ack(self) -> Result<(), AckLost> {
        self.0.tell(DeliveryEnd::Done).await
    }

    /// Gives the message back, for another worker or later. RabbitMQ before 4.3 counts it as a
    /// failed delivery.
    ///
    /// # Errors
    /// When the session is over or the broker does not read; the message is delivered again nevertheless.
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
    pub(super) fn new(acker: Acker, channel: Channel, limit: Duration, broken: CancellationToken, held: Held) -> Self {
        Self { acker, channel, limit, broken, held }
    }

    async fn settle(
        &self,
        call: &'static str,
        telling: impl Future<Output = lapin::Result<bool>>,
    ) -> Result<(), AckLost> {
        if self.broken.is_cancelled() {
            return Err(AckLost { cause: "the session has ended".to_owned() });
        }
        let cause = match limited(call, self.limit, telling).await {
            Ok(true) => {
                self.held.settle();
                return Ok(());
            }
            Ok(false) => "the session has ended".to_owned(),
            Err(error) => {
                // A channel on which a call hangs is not used again.
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
