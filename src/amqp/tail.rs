//! Lets a person watch events as they are published.

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Acker, Channel, Consumer};

use super::call::{CallError, limited};
use super::declare::short;
use super::link::{ConnectError, Link, connect_once};
use super::message::Message;
use crate::config::Amqp;

/// The most messages that wait here unread; without a bound, a slow reader's memory would fill up.
const PREFETCH: u16 = 100;

/// Shows the messages of an exchange from now on, through a queue that is deleted with it. Other readers lose nothing.
pub struct Tail {
    link: Link,
    consumer: Consumer,
    /// The last message that was returned; it is acknowledged when the next one is requested.
    last: Option<Acker>,
}

/// The reason why watching has ended or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The broker refused a request, or the connection was lost.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl TailError {
    /// Returns what a person can do about the failure, where that is known.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Connect(error) => Some(error.remedy()),
            Self::Call(error) => error.remedy(),
        }
    }
}

impl Tail {
    /// Starts to watch the events whose routing key matches `pattern`, for instance `acme.#`. Every event that is
    /// published after this call has returned is shown.
    ///
    /// # Errors
    /// When there is no connection, or the events exchange or the permission for it is missing.
    pub async fn open(config: &Amqp, pattern: &str) -> Result<Self, TailError> {
        let link = connect_once(config, "tail").await?;
        let channel = link.channel().await?;
        let limit = link.rpc_timeout();
        let queue = declare_queue(&channel, &link).await?;
        let bind = channel.queue_bind(
            queue.clone(),
            short(&config.events_exchange),
            short(pattern),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        limited("queue.bind", limit, bind).await?;
        let qos = channel.basic_qos(PREFETCH, BasicQosOptions::default());
        limited("basic.qos", limit, qos).await?;
        let consume = channel.basic_consume(queue, short(""), BasicConsumeOptions::default(), FieldTable::default());
        let consumer = limited("basic.consume", limit, consume).await?;
        Ok(Self { link, consumer, last: None })
    }

    /// Returns the next message. Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// When the connection is lost; it is not opened again.
    pub async fn next(&mut self) -> Result<Message, TailError> {
        if let Some(last) = self.last.take() {
            let ack = last.ack(BasicAckOptions::default());
            limited("basic.ack", self.link.rpc_timeout(), ack).await?;
        }
        let call = "consuming";
        match self.consumer.next().await {
            Some(Ok(mut delivery)) => {
                let message = Message::read(&mut delivery, self.link.marker());
                self.last = Some(delivery.acker);
                Ok(message)
            }
            Some(Err(source)) => Err(CallError::Failed { call, source }.into()),
            None => Err(CallError::Cancelled.into()),
        }
    }

    /// Stops watching and closes the connection.
    pub async fn close(self) {
        self.link.close().await;
    }
}

async fn declare_queue(channel: &Channel, link: &Link) -> Result<lapin::types::ShortString, CallError> {
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert(short("x-queue-type"), AMQPValue::LongString("classic".into()));
    let declare = channel.queue_declare(short(""), options, arguments);
    let queue = limited("queue.declare", link.rpc_timeout(), declare).await?;
    Ok(queue.name().clone())
}
