//! How do events reach the broker? From the outbox, again and again until the broker has confirmed each.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use super::crash::{self, Point};
use crate::amqp::{Outgoing, Publish, PublishError};
use crate::batch::event::CONTENT_TYPE;
use crate::store::StoreError;
use crate::store::outbox::Announcement;

/// How often the outbox is looked through for what a crash or an outage left.
const SWEEP: Duration = Duration::from_secs(5);
/// The most events on their way at once.
const AT_ONCE: u32 = 200;
/// How long an event that the broker did not take waits: nobody may be listening.
const PAUSE: Duration = Duration::from_secs(30);

/// Announces what is stored until `stop`, and then once more.
pub(super) async fn announce(courier: Arc<Courier>, publisher: Arc<dyn Publish>, stop: CancellationToken) {
    let mut reachable = publisher.status();
    while !stop.is_cancelled() {
        let up = reachable.borrow_and_update().is_up();
        if up {
            empty(&courier, &*publisher).await;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = courier.announce.notified() => {}
            _ = reachable.changed() => {}
            () = tokio::time::sleep(SWEEP) => {}
        }
    }
    if reachable.borrow().is_up() {
        empty(&courier, &*publisher).await;
    }
}

async fn empty(courier: &Courier, publisher: &dyn Publish) {
    loop {
        match announce_some(courier, publisher).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "events wait for the store");
                return;
            }
        }
    }
}

/// Announces up to [`AT_ONCE`] events and tells how many there were.
async fn announce_some(courier: &Courier, publisher: &dyn Publish) -> Result<usize, StoreError> {
    let amqp = &courier.config.amqp;
    // Should it take even longer, another replica sends a copy, which is allowed.
    let taken_for = 2 * (amqp.publish_timeout + amqp.confirm_timeout);
    let events = courier.store.unsent(AT_ONCE, taken_for).await?;
    let (mut sent, mut postponed) = (Vec::new(), Vec::new());
    let count = events.len();
    let results = join_all(events.iter().map(|event| publisher.publish(outgoing(courier, event)))).await;
    for (event, result) in events.into_iter().zip(results) {
        match result {
            Ok(()) => sent.push(event),
            Err(error) => {
                tell(&error, &event);
                postponed.push(event);
            }
        }
    }
    if !sent.is_empty() {
        crash::after(Point::Announce);
    }
    courier.metrics.events.with_label_values(&["confirmed"]).inc_by(sent.len() as u64);
    courier.metrics.events.with_label_values(&["not_taken"]).inc_by(postponed.len() as u64);
    courier.store.mark_sent(&sent).await?;
    courier.store.postpone(&postponed, PAUSE).await?;
    Ok(count)
}

fn tell(error: &PublishError, event: &Announcement) {
    if matches!(error, PublishError::Unroutable { .. }) {
        tracing::debug!(event = event.id, kind = event.kind, "nobody is bound for an event; it waits");
    } else {
        tracing::warn!(event = event.id, kind = event.kind, %error, "an event waits for the broker");
    }
}

fn outgoing(courier: &Courier, event: &Announcement) -> Outgoing {
    Outgoing {
        exchange: courier.config.amqp.events_exchange.clone(),
        routing_key: event.routing_key.clone(),
        body: event.body.clone().into_bytes(),
        content_type: Some(CONTENT_TYPE.into()),
        message_id: Some(event.id.clone()),
        kind: Some(event.kind.clone()),
        app_id: Some("testmo-courier".into()),
        timestamp_secs: u64::try_from(event.created_at / 1_000).ok(),
        ..Outgoing::default()
    }
}
