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
        let (code, said) = self.channel_error()?;
        remedy_of(code, &said)
    }
}

/// Returns what a person can do about a channel that the broker closed with a reply code and text. Source of the texts:
/// RabbitMQ 3.10 to 4.3, which uses 406 for several causes.
fn remedy_of(code: u16, said: &str) -> Option<&'static str> {
    Some(match code {
        ACCESS_REFUSED => "give the broker user the permission that the error names",
        NOT_FOUND => "run `testmo-courier topology declare` with a user that has the configure permission",
        PRECONDITION_FAILED if said.contains("acknowledgement") && said.contains("timed out") => {
            "raise consumer_timeout on the broker above the longest time for which the worker holds a message; the message \
             is delivered again, and no case is created twice"
        }
        PRECONDITION_FAILED if said.contains("unknown delivery tag") => {
            "report this as a defect; the message is delivered again, and no case is created twice"
        }
        PRECONDITION_FAILED if said.contains("message size") => {
            "raise max_message_size on the broker, or lower amqp.max_message_bytes"
        }
        PRECONDITION_FAILED if said.contains("inequivalent arg") => {
            "the object exists with other arguments: set the configuration to the values that the broker has, or \
             configure another name"
        }
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_depends_on_what_the_broker_said_and_never_costs_a_message() {
        let texts = [
            (403, "ACCESS_REFUSED - read access to queue 'q' in vhost '/' refused for user 'u'", Some("permission")),
            (404, "NOT_FOUND - no queue 'q' in vhost '/'", Some("topology declare")),
            (
                406,
                "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms.",
                Some("consumer_timeout"),
            ),
            (406, "PRECONDITION_FAILED - unknown delivery tag 7", Some("defect")),
            (
                406,
                "PRECONDITION_FAILED - message size 17000000 is larger than configured max size 16777216",
                Some("max_message_size"),
            ),
            (
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/'",
                Some("configure another name"),
            ),
            (406, "PRECONDITION_FAILED - something new", None),
            (405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q'", None),
        ];
        for (code, said, remedy) in texts {
            let found = remedy_of(code, said);
            assert_eq!(found.is_some(), remedy.is_some(), "{said}: {found:?}");
            let found = found.unwrap_or_default();
            assert!(found.contains(remedy.unwrap_or_default()) && !found.contains("delete"), "{said}: {found}");
        }
    }
}
