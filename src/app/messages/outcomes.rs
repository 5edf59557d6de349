//! Waits for the outcomes of published messages.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::super::events::ReceivedEvent;
use super::message::Message;
use crate::amqp::{Tail, TailError};

/// Published messages whose outcome has not come yet.
#[derive(Debug)]
pub struct Awaited<'a>(Vec<&'a Message>);

/// How waiting has ended.
#[derive(Debug)]
pub enum WaitEnd<'a> {
    /// Every batch is delivered.
    Delivered,
    /// Of every message the outcome has come, or that its batch waits for a person; not all batches are delivered.
    NotDelivered,
    /// The time is over; the outcomes of these messages are missing.
    Overdue(Vec<&'a Message>),
}

impl<'a> Awaited<'a> {
    /// Collects messages, each content once: of a batch that was published twice there may be only one event.
    pub fn of(messages: impl IntoIterator<Item = &'a Message>) -> Self {
        let mut open: Vec<&Message> = Vec::new();
        for message in messages {
            if !open.iter().any(|other| other.hash == message.hash) {
                open.push(message);
            }
        }
        Self(open)
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Waits until every outcome has come or can only come after a person has acted, for at most `limit`; `report` gets each event that is about one of the
    /// messages, with the number of messages that it finishes.
    ///
    /// # Errors
    /// When the events cannot be followed any further, or `report` fails.
    pub async fn outcomes<E: From<TailError>>(
        self,
        tail: &mut Tail,
        limit: Duration,
        mut report: impl FnMut(&ReceivedEvent, usize) -> Result<(), E>,
    ) -> Result<WaitEnd<'a>, E> {
        let until = Instant::now() + limit;
        let Self(mut open) = self;
        let mut all_delivered = true;
        while !open.is_empty() {
            let Ok(message) = timeout_at(until, tail.next()).await else { return Ok(WaitEnd::Overdue(open)) };
            let Some(event) = ReceivedEvent::read(&message?.body) else { continue };
            if !open.iter().any(|message| is_about(&event, message)) {
                continue;
            }
            let awaited = open.len();
            if event.is_final() || event.awaits_person() {
                open.retain(|message| !is_about(&event, message));
                all_delivered &= event.is_delivered();
            }
            report(&event, awaited - open.len())?;
        }
        Ok(if all_delivered { WaitEnd::Delivered } else { WaitEnd::NotDelivered })
    }
}

/// Returns whether an event is about a message: it names its batch, and the message's hash where the message is no
/// batch or not the one that its id belongs to.
fn is_about(event: &ReceivedEvent, message: &Message) -> bool {
    match &event.message_hash {
        Some(hash) => *hash == message.hash,
        None => event.key().is_some() && event.key() == message.key,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(data: serde_json::Value) -> ReceivedEvent {
        ReceivedEvent::read(json!({"type": "x", "data": data}).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn an_event_is_matched_by_hash_where_it_has_one_and_by_batch_otherwise() {
        let broken = Message::of(br#"{"tenant_id":"acme","batch_id":"b-1"}"#.to_vec());
        assert!(broken.key.is_some());
        assert!(is_about(&event(json!({"tenant_id": "acme", "batch_id": "b-1"})), &broken));
        assert!(!is_about(&event(json!({"tenant_id": "acme", "batch_id": "b-2"})), &broken));
        assert!(is_about(&event(json!({"message_hash": broken.hash})), &broken));
        let other = json!({"tenant_id": "acme", "batch_id": "b-1", "message_hash": "0"});
        assert!(!is_about(&event(other), &broken));
        assert!(!is_about(&event(json!({})), &Message::of(b"{".to_vec())));
    }

    #[test]
    fn a_batch_that_was_published_twice_is_awaited_once() {
        let messages = [b"a", b"b", b"a"].map(|body| Message::of(body.to_vec()));
        assert_eq!(Awaited::of(&messages).count(), 2);
    }
}
