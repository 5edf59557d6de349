//! Publishes one event, and classifies how that ended.

use std::collections::BTreeMap;

use crate::amqp::{Outgoing, Publish, PublishError};
use crate::batch::event::CONTENT_TYPE;
use crate::guard::{Task, guarded, may_panic};
use crate::store::outbox::OutboxEvent;
use crate::worker::context::WorkerContext;
use crate::worker::unit::panicked;

/// How the publishing of an event ended.
pub(super) enum End {
    /// The broker confirmed it.
    Confirmed,
    /// No queue is bound for it.
    Returned,
    /// It was not published, because no queue is bound for an earlier one.
    Behind,
    /// The broker did not take it.
    NotTaken,
}

/// Groups events by their subject, each group in order: the broker's channels overtake each other.
pub(super) fn by_subject(events: Vec<OutboxEvent>) -> BTreeMap<String, Vec<OutboxEvent>> {
    let mut by_subject = BTreeMap::<String, Vec<OutboxEvent>>::new();
    for event in events {
        by_subject.entry(event.subject.clone()).or_default().push(event);
    }
    by_subject
}

/// Publishes one event. If that panics, the outcome is unknown.
pub(super) async fn publish(
    context: &WorkerContext,
    publisher: &dyn Publish,
    event: &OutboxEvent,
) -> Result<(), PublishError> {
    let publishing = async {
        may_panic("publish", &event.subject);
        publisher.publish(outgoing(context, event)).await
    };
    guarded(publishing).await.unwrap_or_else(|panic| {
        let cause = panicked(context, Task::OutboxRelay, &event.id, panic).to_string();
        Err(PublishError::Unknown { cause })
    })
}

/// Returns how the publishing of an event ended, and logs it.
pub(super) fn end_of(published: Result<(), PublishError>, event: &OutboxEvent) -> End {
    match published {
        Ok(()) => End::Confirmed,
        Err(PublishError::Unroutable { .. }) => {
            tracing::debug!(
                event = event.id,
                event_type = event.kind,
                "no queue is bound for an event; the event waits until one is"
            );
            End::Returned
        }
        Err(
            error @ (PublishError::Refused { .. }
            | PublishError::Forbidden { .. }
            | PublishError::Unknown { .. }
            | PublishError::Unavailable { .. }
            | PublishError::TooLarge { .. }
            | PublishError::Malformed { .. }),
        ) => {
            tracing::warn!(
                event = event.id, event_type = event.kind, %error,
                "an event could not be published; it waits for the broker"
            );
            End::NotTaken
        }
    }
}

fn outgoing(context: &WorkerContext, event: &OutboxEvent) -> Outgoing {
    Outgoing {
        exchange: context.config.amqp.events_exchange.clone(),
        routing_key: event.routing_key.clone(),
        body: event.body.clone().into_bytes(),
        content_type: Some(CONTENT_TYPE.into()),
        message_id: Some(event.id.clone()),
        kind: Some(event.kind.clone()),
        app_id: Some("testmo-courier".into()),
        timestamp_secs: u64::try_from(event.created_at / 1_000).ok(),
        is_event: true,
        ..Outgoing::default()
    }
}
