//! Publishes one event, and classifies how that ended.

use std::collections::BTreeMap;

use crate::amqp::{HeaderValue, Outgoing, Publish, PublishError};
use crate::batch::event::{CONTENT_TYPE, trace_of};
use crate::guard::{Task, guarded, may_panic};
use crate::store::outbox::OutboxEvent;
use crate::trace::{TraceContext, logged};
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
    /// The broker could not take it just then.
    NotNow,
    /// The broker does not take it until something is changed.
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

/// Publishes one event; `None` if that panics: the outcome is unknown, and the next try may panic again.
pub(super) async fn publish(
    context: &WorkerContext,
    publisher: &dyn Publish,
    event: &OutboxEvent,
) -> Option<Result<(), PublishError>> {
    let publishing = async {
        may_panic("publish", &event.subject);
        publisher.publish(outgoing(&context.config.amqp.events_exchange, event)).await
    };
    match guarded(publishing).await {
        Ok(published) => Some(published),
        Err(panic) => {
            panicked(context, Task::OutboxRelay, &event.id, panic);
            None
        }
    }
}

/// Returns how the publishing of an event ended, and logs it.
pub(super) fn end_of(published: Option<Result<(), PublishError>>, event: &OutboxEvent) -> End {
    let Some(published) = published else { return End::NotTaken };
    let trace = || trace_of(&event.body);
    match published {
        Ok(()) => End::Confirmed,
        Err(PublishError::Unroutable { .. }) => {
            tracing::debug!(
                event = event.id,
                event_type = event.kind,
                trace_id = logged(trace().as_ref()),
                "no queue is bound for an event; the event waits until one is"
            );
            End::Returned
        }
        Err(error @ (PublishError::Unknown { .. } | PublishError::Unavailable { .. })) => {
            tracing::warn!(
                event = event.id, event_type = event.kind, trace_id = logged(trace().as_ref()), %error,
                "an event could not be published; it waits for the broker"
            );
            End::NotNow
        }
        // A full queue is often full for long, and then very many events may wait for it.
        Err(
            error @ (PublishError::Refused { .. }
            | PublishError::Forbidden { .. }
            | PublishError::TooLarge { .. }
            | PublishError::Malformed { .. }),
        ) => {
            tracing::warn!(
                event = event.id, event_type = event.kind, trace_id = logged(trace().as_ref()), %error,
                "an event could not be published; it waits for the broker"
            );
            End::NotTaken
        }
    }
}

fn outgoing(exchange: &str, event: &OutboxEvent) -> Outgoing {
    Outgoing {
        exchange: exchange.to_owned(),
        routing_key: event.routing_key.clone(),
        body: event.body.clone().into_bytes(),
        content_type: Some(CONTENT_TYPE.into()),
        message_id: Some(event.id.clone()),
        kind: Some(event.kind.clone()),
        app_id: Some("testmo-courier".into()),
        timestamp_secs: u64::try_from(event.created_at / 1_000).ok(),
        headers: trace_of(&event.body).iter().flat_map(TraceContext::headers).map(text_header).collect(),
        is_event: true,
        ..Outgoing::default()
    }
}

fn text_header((name, value): (&str, String)) -> (String, HeaderValue) {
    (name.to_owned(), HeaderValue::Text(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, subject: &str) -> OutboxEvent {
        OutboxEvent {
            id: id.into(),
            kind: "k".into(),
            routing_key: "r".into(),
            subject: subject.into(),
            body: "{}".into(),
            created_at: 7_999,
            due_at: 0,
            unbound: false,
        }
    }

    #[test]
    fn events_of_one_subject_stay_in_their_order() {
        let events = vec![event("1", "acme/b"), event("2", "acme/a"), event("3", "acme/b")];
        let ids = |events: &Vec<OutboxEvent>| events.iter().map(|event| event.id.clone()).collect::<Vec<_>>();
        let grouped: Vec<_> =
            by_subject(events).iter().map(|(subject, events)| (subject.clone(), ids(events))).collect();
        assert_eq!(
            grouped,
            [("acme/a".to_owned(), vec!["2".to_owned()]), ("acme/b".into(), vec!["1".into(), "3".into()])]
        );
    }

    #[test]
    fn an_event_is_published_with_every_property_that_consumers_are_promised() {
        let expected = Outgoing {
            exchange: "testmo.events".into(),
            routing_key: "r".into(),
            body: b"{}".to_vec(),
            content_type: Some("application/cloudevents+json; charset=utf-8".into()),
            message_id: Some("e-1".into()),
            kind: Some("k".into()),
            app_id: Some("testmo-courier".into()),
            timestamp_secs: Some(7),
            is_event: true,
            ..Outgoing::default()
        };
        assert_eq!(outgoing("testmo.events", &event("e-1", "acme/b")), expected);
    }

    #[test]
    fn an_event_of_a_batch_with_a_trace_carries_it_in_its_headers_too() {
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let body = format!(
            r#"{{"id":"e-1","traceparent":"{traceparent}","tracestate":"rojo=1","data":{{"traceparent":"x"}}}}"#
        );
        let sent = outgoing("testmo.events", &OutboxEvent { body, ..event("e-1", "acme/b") });
        let expected = [("traceparent", traceparent), ("tracestate", "rojo=1")];
        let expected = expected.map(|(name, value)| (name.to_owned(), HeaderValue::Text(value.to_owned())));
        assert_eq!(sent.headers, expected.into());
    }

    #[test]
    fn only_what_the_broker_does_not_take_waits_for_long() {
        let event = event("e-1", "acme/b-1");
        let (exchange, text, cause) = (|| "testmo.events".to_owned(), || "no".to_owned(), || "a stall".to_owned());
        let unroutable =
            PublishError::Unroutable { exchange: exchange(), routing_key: "r".into(), code: 312, text: text() };
        assert!(matches!(end_of(Some(Ok(())), &event), End::Confirmed));
        assert!(matches!(end_of(None, &event), End::NotTaken), "a panic may come again");
        assert!(matches!(end_of(Some(Err(unroutable)), &event), End::Returned));
        for error in [PublishError::Unknown { cause: cause() }, PublishError::Unavailable { cause: cause() }] {
            assert!(matches!(end_of(Some(Err(error)), &event), End::NotNow), "an outage is over when it is over");
        }
        for error in [
            PublishError::Refused { exchange: exchange() },
            PublishError::Forbidden { exchange: exchange(), code: 403, text: text() },
            PublishError::TooLarge { bytes: 2, limit: 1 },
            PublishError::Malformed { field: "subject" },
        ] {
            assert!(matches!(end_of(Some(Err(error)), &event), End::NotTaken));
        }
    }
}
