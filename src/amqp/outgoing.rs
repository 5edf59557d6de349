//! Holds a message to publish, and encodes it within AMQP's limits.

use std::collections::BTreeMap;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::publish_error::PublishError;

/// AMQP's delivery mode of messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

/// Properties and headers travel in one frame, which lapin and RabbitMQ limit to 128 KiB.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// A message to publish. It is always persistent, and must reach a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The exchange it goes to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// The bytes.
    pub body: Vec<u8>,
    /// The body's media type.
    pub content_type: Option<String>,
    /// The same for all attempts, so that readers can recognize duplicates.
    pub message_id: Option<String>,
    /// The id that correlates it with another message.
    pub correlation_id: Option<String>,
    /// The kind of message.
    pub kind: Option<String>,
    /// The program that sends it.
    pub app_id: Option<String>,
    /// The broker's user that sends it; the broker refuses any other name than that of the connection's user.
    pub user_id: Option<String>,
    /// When it was made, in seconds since 1970.
    pub timestamp_secs: Option<u64>,
    /// Further headers. Names that start with `x-` belong to the broker.
    pub headers: BTreeMap<String, HeaderValue>,
    /// Whether it is sent even if it is larger than `amqp.max_message_bytes`, which limits batches. Events are cut to a
    /// size of their own when they are built.
    pub is_event: bool,
}

/// A header value that every AMQP client understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

/// A message in the form in which it is sent, within AMQP's limits.
pub(super) struct Encoded {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) body: Vec<u8>,
    pub(super) properties: BasicProperties,
}

impl Outgoing {
    /// Checks the limits: the body's against `max_bytes`, unless it is an event, and AMQP's for names and headers.
    pub(super) fn encode(self, max_bytes: usize) -> Result<Encoded, PublishError> {
        if !self.is_event && self.body.len() > max_bytes {
            return Err(PublishError::TooLarge { bytes: self.body.len(), limit: max_bytes });
        }
        let properties = self.properties()?;
        Ok(Encoded {
            exchange: short("exchange", self.exchange)?,
            routing_key: short("routing key", self.routing_key)?,
            body: self.body,
            properties,
        })
    }

    fn properties(&self) -> Result<BasicProperties, PublishError> {
        let mut properties =
            BasicProperties::default().with_delivery_mode(PERSISTENT).with_headers(table(&self.headers)?);
        if let Some(value) = &self.content_type {
            properties = properties.with_content_type(short("content type", value)?);
        }
        if let Some(value) = &self.message_id {
            properties = properties.with_message_id(short("message id", value)?);
        }
        if let Some(value) = &self.correlation_id {
            properties = properties.with_correlation_id(short("correlation id", value)?);
        }
        if let Some(value) = &self.kind {
            properties = properties.with_type(short("type", value)?);
        }
        if let Some(value) = &self.app_id {
            properties = properties.with_app_id(short("app id", value)?);
        }
        if let Some(value) = &self.user_id {
            properties = properties.with_user_id(short("user id", value)?);
        }
        if let Some(seconds) = self.timestamp_secs {
            properties = properties.with_timestamp(seconds);
        }
        Ok(properties)
    }
}

impl Encoded {
    /// Returns the name of the message in the log: by its id, or by its exchange and routing key.
    pub(super) fn name(&self) -> String {
        let id = self.properties.message_id().as_ref().map(ToString::to_string);
        id.unwrap_or_else(|| format!("to {} as {}", self.exchange, self.routing_key))
    }
}

fn short(field: &'static str, value: impl Into<String>) -> Result<ShortString, PublishError> {
    ShortString::try_new(value).map_err(|_| PublishError::Malformed { field })
}

fn table(headers: &BTreeMap<String, HeaderValue>) -> Result<FieldTable, PublishError> {
    let mut table = FieldTable::default();
    let mut bytes = 0;
    for (name, value) in headers {
        let value = match value {
            HeaderValue::Text(text) => {
                bytes += text.len();
                AMQPValue::LongString(text.as_str().into())
            }
            HeaderValue::Number(number) => AMQPValue::LongLongInt(*number),
            HeaderValue::Flag(flag) => AMQPValue::Boolean(*flag),
        };
        bytes += name.len() + 16;
        table.insert(short("header name", name)?, value);
    }
    match bytes {
        0..=MAX_HEADER_BYTES => Ok(table),
        _ => Err(PublishError::Malformed { field: "headers" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(outgoing: Outgoing) -> Option<PublishError> {
        outgoing.encode(10).err()
    }

    #[test]
    fn a_body_over_the_limit_is_not_sent() {
        let body = vec![0; 11];
        let Some(PublishError::TooLarge { bytes, limit }) = error(Outgoing { body, ..Default::default() }) else {
            panic!("expected a refusal");
        };
        assert_eq!((bytes, limit), (11, 10));
    }

    #[test]
    fn an_event_is_sent_whatever_the_limit_of_batches_is() {
        let event = Outgoing { body: vec![0; 11], is_event: true, ..Default::default() };
        assert!(error(event).is_none());
    }

    #[test]
    fn what_amqp_cannot_carry_is_named() {
        let long = "x".repeat(256);
        let routing_key = Outgoing { routing_key: long.clone(), ..Default::default() };
        let headers = Outgoing {
            headers: [("h".to_owned(), HeaderValue::Text("x".repeat(70_000)))].into(),
            ..Default::default()
        };
        for (outgoing, name) in [(routing_key, "routing key"), (headers, "headers")] {
            let Some(PublishError::Malformed { field }) = error(outgoing) else {
                panic!("expected a refusal of the {name}");
            };
            assert_eq!(field, name);
        }
    }

    #[test]
    fn messages_are_persistent() {
        let encoded = Outgoing::default().encode(0).expect("an empty message");
        assert_eq!(encoded.properties.delivery_mode(), &Some(PERSISTENT));
    }
}
