//! Holds a message as the broker delivered it.

use std::collections::BTreeMap;

use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::guard::Marker;
use super::unreadable::UnreadableHeaders;

/// The most headers that are kept, in the order of their names.
const MAX_HEADERS: usize = 64;
/// The most bytes of a header's value that are kept.
const MAX_HEADER_BYTES: usize = 1024;

/// A message as it was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The bytes, at most what the broker accepts (16 or 128 MiB by version).
    pub body: Vec<u8>,
    /// The exchange it was last published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// The message id that its publisher chose.
    pub message_id: Option<String>,
    /// The id that correlates it with another message.
    pub correlation_id: Option<String>,
    /// The body's media type.
    pub content_type: Option<String>,
    /// How the body is compressed.
    pub content_encoding: Option<String>,
    /// The kind of message.
    pub kind: Option<String>,
    /// Which program published it.
    pub app_id: Option<String>,
    /// The broker's user that published it, if the publisher names it: the broker refuses any other name.
    pub user_id: Option<String>,
    /// When it was made, in milliseconds since 1970; AMQP carries full seconds.
    pub timestamp_ms: Option<i64>,
    /// Headers with a single value, as text; at most 64 of at most 1024 bytes.
    pub headers: BTreeMap<String, String>,
    /// Why the broker first took it out of a queue, such as `delivery_limit` or `expired`. A publisher can write this, too.
    pub first_death_reason: Option<String>,
    /// The exchange that it was published to before the broker took it out of a queue. A publisher can write this, too.
    pub first_death_exchange: Option<String>,
    /// The properties and headers, if they cannot be read; the fields that come from them are then empty.
    pub unreadable: Option<UnreadableHeaders>,
}

impl Message {
    /// Takes over body and properties, without the means to acknowledge the message. `marker` is that of the
    /// connection. The body is taken last, so that a failure before leaves it where it is.
    pub(super) fn read(delivery: &mut lapin::message::Delivery, marker: &Marker) -> Self {
        let table = delivery.properties.headers().as_ref();
        let message = match table.and_then(|table| marker.separate(table, &mut delivery.data)) {
            Some(unreadable) => Self {
                exchange: delivery.exchange.to_string(),
                routing_key: delivery.routing_key.to_string(),
                unreadable: Some(unreadable),
                ..Self::default()
            },
            None => Self::without_body(delivery),
        };
        Self { body: std::mem::take(&mut delivery.data), ..message }
    }

    /// Reads everything but the body.
    pub(super) fn without_body(delivery: &lapin::message::Delivery) -> Self {
        let properties = &delivery.properties;
        let headers = properties.headers().as_ref();
        Self {
            body: Vec::new(),
            exchange: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            message_id: text(properties.message_id()),
            correlation_id: text(properties.correlation_id()),
            content_type: text(properties.content_type()),
            content_encoding: text(properties.content_encoding()),
            kind: text(properties.kind()),
            app_id: text(properties.app_id()),
            user_id: text(properties.user_id()),
            timestamp_ms: properties.timestamp().map(milliseconds),
            headers: headers.map(scalars).unwrap_or_default(),
            first_death_reason: headers.and_then(|headers| text_of(headers, "x-first-death-reason")),
            first_death_exchange: headers.and_then(|headers| text_of(headers, "x-first-death-exchange")),
            unreadable: None,
        }
    }
}

fn text(value: &Option<ShortString>) -> Option<String> {
    value.as_ref().map(ToString::to_string)
}

fn milliseconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)
}

fn text_of(headers: &FieldTable, name: &str) -> Option<String> {
    headers.inner().get(name).and_then(scalar)
}

fn scalars(headers: &FieldTable) -> BTreeMap<String, String> {
    headers.into_iter().filter_map(|(name, value)| Some((name.to_string(), scalar(value)?))).take(MAX_HEADERS).collect()
}

fn scalar(value: &AMQPValue) -> Option<String> {
    let mut text = match value {
        AMQPValue::Boolean(flag) => flag.to_string(),
        AMQPValue::Float(number) => number.to_string(),
        AMQPValue::Double(number) => number.to_string(),
        AMQPValue::Timestamp(seconds) => seconds.to_string(),
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::LongString(text) => text.to_string(),
        AMQPValue::ShortShortInt(_)
        | AMQPValue::ShortShortUInt(_)
        | AMQPValue::ShortInt(_)
        | AMQPValue::ShortUInt(_)
        | AMQPValue::LongInt(_)
        | AMQPValue::LongUInt(_)
        | AMQPValue::LongLongInt(_) => number(value)?.to_string(),
        AMQPValue::DecimalValue(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::ByteArray(_)
        | AMQPValue::Void => return None,
    };
    text.truncate(text.floor_char_boundary(MAX_HEADER_BYTES));
    Some(text)
}

fn number(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::ShortShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortInt(number) => Some(i64::from(*number)),
        AMQPValue::ShortUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongInt(number) => Some(i64::from(*number)),
        AMQPValue::LongUInt(number) => Some(i64::from(*number)),
        AMQPValue::LongLongInt(number) => Some(*number),
        AMQPValue::Boolean(_)
        | AMQPValue::Float(_)
        | AMQPValue::Double(_)
        | AMQPValue::DecimalValue(_)
        | AMQPValue::ShortString(_)
        | AMQPValue::LongString(_)
        | AMQPValue::FieldArray(_)
        | AMQPValue::Timestamp(_)
        | AMQPValue::FieldTable(_)
        | AMQPValue::ByteArray(_)
        | AMQPValue::Void => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::BasicProperties;

    fn read(headers: &[(&str, AMQPValue)]) -> Message {
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), value.clone());
        }
        let mut delivery = lapin::message::Delivery::mock(1, "e".into(), "k".into(), false, b"body".to_vec());
        delivery.properties = BasicProperties::default().with_headers(table).with_timestamp(1_700_000_000);
        Message::read(&mut delivery, &Marker::random())
    }

    #[test]
    fn the_reason_of_the_first_death_is_read_whatever_the_number_of_headers() {
        assert_eq!(read(&[]).first_death_reason, None);
        let mut headers: Vec<(String, AMQPValue)> =
            (0..2 * MAX_HEADERS).map(|n| (format!("a-{n}"), AMQPValue::LongInt(1))).collect();
        headers.push(("x-first-death-reason".into(), AMQPValue::LongString("delivery_limit".into())));
        let headers: Vec<(&str, AMQPValue)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        assert_eq!(read(&headers).first_death_reason.as_deref(), Some("delivery_limit"));
        assert_eq!(read(&[("x-first-death-reason", AMQPValue::Void)]).first_death_reason, None);
    }

    #[test]
    fn only_single_values_are_kept_and_long_ones_are_cut() {
        let message = read(&[
            ("a", AMQPValue::LongString("ä".repeat(1000).into_bytes().into())),
            ("n", AMQPValue::LongInt(-7)),
            ("t", AMQPValue::FieldTable(FieldTable::default())),
        ]);
        assert_eq!(message.headers["a"], "ä".repeat(512));
        assert_eq!(message.headers["n"], "-7");
        assert_eq!(message.headers.len(), 2);
    }

    #[test]
    fn seconds_become_milliseconds() {
        assert_eq!(read(&[]).timestamp_ms, Some(1_700_000_000_000));
        assert_eq!(milliseconds(u64::MAX), i64::MAX);
    }
}
