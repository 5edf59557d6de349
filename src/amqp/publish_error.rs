//! Why was a message not stored, and is that sure?

/// A publish that the broker did not confirm as stored and routed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The broker refused it, for instance because the queue is full.
    #[error("the broker refused a message for exchange `{exchange}` (queue full?)")]
    Refused {
        /// Where it should have gone.
        exchange: String,
    },
    /// No queue wants it.
    #[error("no queue is bound to exchange `{exchange}` for routing key `{routing_key}` ({code} {text})")]
    Unroutable {
        /// Where it should have gone.
        exchange: String,
        /// For whom it was.
        routing_key: String,
        /// AMQP's reply code, 312 for "no route".
        code: u16,
        /// The broker's words.
        text: String,
    },
    /// The broker closed the channel over it: the exchange is missing, or not open to this user.
    #[error("the broker does not take messages for exchange `{exchange}`: {text} ({code})")]
    Forbidden {
        /// Where it should have gone.
        exchange: String,
        /// AMQP's reply code: 404 missing, 403 no permission, 406 too large for the broker.
        code: u16,
        /// The broker's words.
        text: String,
    },
    /// It was sent, and then there was silence or the connection died.
    #[error("it is unknown whether the broker has the message: {cause}")]
    Unknown {
        /// What happened.
        cause: String,
    },
    /// It was not sent: there was no usable connection in the time given.
    #[error("the broker cannot be published to: {cause}")]
    Unavailable {
        /// What is the matter with the connection.
        cause: String,
    },
    /// It was not sent: the body is larger than configured.
    #[error("a message of {bytes} bytes is over the limit of {limit}")]
    TooLarge {
        /// The body's size in bytes.
        bytes: usize,
        /// `max_message_bytes`.
        limit: usize,
    },
    /// It was not sent: AMQP cannot carry this.
    #[error("the {field} is longer than AMQP allows")]
    Malformed {
        /// Which part.
        field: &'static str,
    },
}

/// Where the fault of a failed publish lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFault {
    /// In the state of the broker, which changes by itself: the same publish can succeed later.
    Broker,
    /// In topology or permissions: the same publish can succeed once a person has mended them.
    Topology,
    /// In the message: the same publish never succeeds.
    Message,
}

impl PublishError {
    /// Whether the broker may have stored the message nevertheless. Where not, publishing again
    /// cannot make a duplicate.
    pub fn may_be_stored(&self) -> bool {
        match self {
            Self::Unknown { .. } => true,
            Self::Refused { .. }
            | Self::Unroutable { .. }
            | Self::Forbidden { .. }
            | Self::Unavailable { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// Where the fault lies, and so what publishing again depends on.
    pub fn fault(&self) -> PublishFault {
        match self {
            Self::Refused { .. } | Self::Unknown { .. } | Self::Unavailable { .. } => PublishFault::Broker,
            Self::Forbidden { code: 406, .. } => PublishFault::Message,
            Self::Unroutable { .. } | Self::Forbidden { .. } => PublishFault::Topology,
            Self::TooLarge { .. } | Self::Malformed { .. } => PublishFault::Message,
        }
    }
}
