//! An event as it is stored.

use serde::Serialize;

use crate::batch::event::Event;

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    /// The event's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// What it is about, which with its id is its name in the store.
    pub subject: String,
    /// Its routing key.
    pub routing_key: String,
    /// The JSON text.
    pub body: String,
    /// When it was stored, in milliseconds on the store's clock.
    pub created_at: i64,
    /// Identifies the publish attempt: [`OutboxStore::resend_event`](super::OutboxStore::resend_event) starts another one.
    pub due_at: i64,
    /// Whether earlier events of its routing key wait for a queue, so that it has to wait behind them.
    pub unbound: bool,
}

impl OutboxEvent {
    /// An event that is stored at `created_at`.
    pub fn of(event: &Event, created_at: i64, due_at: i64) -> Self {
        Self {
            id: event.id.clone(),
            kind: event.kind.to_owned(),
            subject: event.subject.clone(),
            routing_key: event.routing_key.clone(),
            body: event.body.clone(),
            created_at,
            due_at,
            unbound: false,
        }
    }
}

/// One attempt to publish an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(in crate::store) struct PublishAttempt {
    subject: String,
    id: String,
    due: i64,
}

impl PublishAttempt {
    pub(in crate::store) fn of(event: &OutboxEvent) -> Self {
        Self { subject: event.subject.clone(), id: event.id.clone(), due: event.due_at }
    }
}
