//! How does a person watch the events go by?

use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Acker, Channel, Consumer};

use super::call::{CallError, limited};
use super::declare::short;
use super::link::{ConnectError, Link, connect_once};
use super::message::Message;
use crate::config::Amqp;

/// How many messages may wait here unread; without a bound, a slow reader would fill its memory.
const PREFETCH: u16 = 100;

/// A look at an exchange from now on, through a queue that vanishes with it. Nothing is taken away
/// from other readers.
pub struct Tail {
    link: Link,
    consumer: Consumer,
    /// The message given out last; acknowledged when the next one is asked for.
    last: Option<Acker>,
}

/// Why the look has ended or could not begin.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The broker refused, or the connection was lost.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl TailError {
    /// What a person can do about it, where that is known.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Connect(error) => Some(error.remedy()),
            Self::Call(error) => error.remedy(),
        }
    }
}

impl Tail {
    /// Starts to look at the events whose routing key matches `pattern`, for instance `acme.#`.
    /// Whatever is published after this has returned is seen.
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

    /// The next message. Nothing is lost if the wait is given up.
    ///
    /// # Errors
    /// When the connection is lost; there is no second one.
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

    /// Ends the look.
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
