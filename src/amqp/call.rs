//! Limits each request to the broker in time, and classifies what can go wrong with it.

use std::time::Duration;

use lapin::ErrorKind;
use lapin::protocol::{AMQPError, AMQPErrorKind};

/// AMQP reply code: no permission. Source: AMQP 0-9-1, constants.
pub(super) const ACCESS_REFUSED: u16 = 403;
/// AMQP reply code: no such exchange or queue.
pub(super) const NOT_FOUND: u16 = 404;
/// AMQP reply code: the object exists with other arguments.
pub(super) const PRECONDITION_FAILED: u16 = 406;

/// A failed request to the broker.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer came in time; what the broker did is unknown and the channel is not used again.
    #[error("the broker did not respond to {call} within {limit:?}")]
    TimedOut {
        /// The AMQP method.
        call: &'static str,
        /// How long the worker waited.
        limit: Duration,
    },
    /// The broker or the network ended the request.
    #[error("{call} failed: {source}")]
    Failed {
        /// The AMQP method.
        call: &'static str,
        /// The error of lapin.
        source: lapin::Error,
    },
    /// The broker ended a subscription.
    #[error("the broker cancelled the subscription; its queue may have been deleted or moved")]
    Cancelled,
    /// The connection was lost.
    #[error("the connection was lost: {cause}")]
    Lost {
        /// Why.
        cause: String,
    },
}

/// AMQP's codes of a connection that received unreadable or unexpected frames: frame error, syntax error and unexpected
/// frame.
const UNEXPECTED: [u16; 3] = [501, 502, 505];

impl CallError {
    /// Returns the broker's reply code and text, if the broker closed the channel (not the connection) because of this
    /// request.
    pub(super) fn channel_error(&self) -> Option<(u16, String)> {
        match self {
            Self::Failed { source, .. } => channel_error(source),
            Self::TimedOut { .. } | Self::Cancelled | Self::Lost { .. } => None,
        }
    }

    /// Returns whether the broker sent something that lapin cannot read.
    pub(super) fn is_unreadable(&self) -> bool {
        match self {
            Self::Failed { source, .. } => {
                let is_of_protocol = |error: &AMQPError| UNEXPECTED.contains(&error.get_id());
                matches!(source.kind(), ErrorKind::ParsingError(_))
                    || protocol_error(source).is_some_and(is_of_protocol)
            }
            Self::TimedOut { .. } | Self::Cancelled | Self::Lost { .. } => false,
        }
    }

    /// Returns what a person can do about the failure, where that is known.
    pub(super) fn remedy(&self) -> Option<&'static str> {
        if self.is_unreadable() {
            return Some(
                "report this as a defect: the broker sent data that this program cannot read; a message that causes \
                 this is dead-lettered when its delivery limit is reached",
            );
        }
        match self.channel_error()?.0 {
            ACCESS_REFUSED => Some("give the broker user the permission that the error names"),
            NOT_FOUND => Some("run `testmo-courier topology declare` with a user that has the configure permission"),
            PRECONDITION_FAILED => Some(
                "the object exists with other arguments: set the configuration to the values that the broker has, \
                 or configure another name",
            ),
            _ => None,
        }
    }
}

/// Returns the reply code and text of an error with which the broker closes one channel.
pub(super) fn channel_error(error: &lapin::Error) -> Option<(u16, String)> {
    protocol_error(error)
        .filter(|error| matches!(error.kind(), AMQPErrorKind::Soft(_)))
        .map(|error| (error.get_id(), error.get_message().to_string()))
}

/// Returns the error that the broker itself reported, if it did.
pub(super) fn protocol_error(error: &lapin::Error) -> Option<&AMQPError> {
    if let ErrorKind::ProtocolError(error) = error.kind() { Some(error) } else { None }
}

/// Waits for one request for at most `limit`.
pub(super) async fn limited<T>(
    call: &'static str,
    limit: Duration,
    request: impl Future<Output = lapin::Result<T>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limit, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(CallError::Failed { call, source }),
        Err(_) => Err(CallError::TimedOut { call, limit }),
    }
}
