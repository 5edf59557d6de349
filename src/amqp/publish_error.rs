//! Classifies why a message was not stored, and whether that is certain.

/// A publish that the broker did not confirm as stored and routed.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The broker refused the message, for instance because the queue is full.
    #[error("the broker refused a message for exchange `{exchange}`; a queue may be full")]
    Refused {
        /// The exchange of the message.
        exchange: String,
    },
    /// No queue is bound for the message.
    #[error("no queue is bound to exchange `{exchange}` for routing key `{routing_key}` ({code} {text})")]
    Unroutable {
        /// The exchange of the message.
        exchange: String,
        /// The routing key of the message.
        routing_key: String,
        /// AMQP's reply code, 312 for "no route".
        code: u16,
        /// The broker's reply text.
        text: String,
    },
    /// The broker closed the channel because of the message: the exchange is missing, or this user has no permission
    /// for it.
    #[error("the broker does not accept messages for exchange `{exchange}`: {text} ({code})")]
    Forbidden {
        /// The exchange of the message.
        exchange: String,
        /// AMQP's reply code: 404 missing, 403 no permission, 406 too large for the broker.
        code: u16,
        /// The broker's reply text.
        text: String,
    },
    /// The message was sent, and then no answer came or the connection was lost.
    #[error("it is unknown whether the broker stored the message: {cause}")]
    Unknown {
        /// What happened.
        cause: String,
    },
    /// The message was not sent: there was no usable connection within the time limit.
    #[error("the message was not published: {cause}")]
    Unavailable {
        /// What is wrong with the connection.
        cause: String,
    },
    /// The message was not sent: the body is larger than configured.
    #[error("the message has {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The body's size in bytes.
        bytes: usize,
        /// `max_message_bytes`.
        limit: usize,
    },
    /// The message was not sent: AMQP cannot carry it.
    #[error("the {field} is longer than AMQP allows")]
    Malformed {
        /// The part of the message that is too long.
        field: &'static str,
    },
}

/// Where the cause of a failed publish lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFault {
    /// In the state of the broker, which changes automatically: the same publish can succeed later.
    Broker,
    /// In topology or permissions: the same publish can succeed once a person has fixed them.
    Topology,
    /// In the message: the same publish never succeeds.
    Message,
}

impl PublishError {
    /// Returns whether the broker may have stored the message nevertheless. If not, publishing it again cannot create a
    /// duplicate.
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

    /// Returns where the cause lies, which decides when publishing again can succeed.
    pub fn fault(&self) -> PublishFault {
        match self {
            Self::Refused { .. } | Self::Unknown { .. } | Self::Unavailable { .. } => PublishFault::Broker,
            Self::Forbidden { code: 406, .. } => PublishFault::Message,
            Self::Unroutable { .. } | Self::Forbidden { .. } => PublishFault::Topology,
            Self::TooLarge { .. } | Self::Malformed { .. } => PublishFault::Message,
        }
    }
}
