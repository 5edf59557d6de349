//! Publishes many events at once, those of one subject in order.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::ends::Ends;
use super::publish::{End, by_subject, end_of, publish};
use super::unbound::UnboundKeys;
use crate::amqp::Publish;
use crate::guard::{Task, guarded};
use crate::store::outbox::OutboxEvent;
use crate::worker::context::WorkerContext;
use crate::worker::unit::panicked;

/// The most events of a loop that are on their way at once.
pub(super) const AT_ONCE: usize = 500;

/// What both loops of the relay need.
pub(super) struct Publishing {
    pub(super) context: Arc<WorkerContext>,
    pub(super) publisher: Arc<dyn Publish>,
    pub(super) unbound: UnboundKeys,
    /// Cancelled when events that are under way are left to another worker or the next start.
    pub(super) left: CancellationToken,
}

impl Publishing {
    /// Publishes events and has their ends stored; returns whether the broker took them all.
    pub(super) async fn publish(&self, events: Vec<OutboxEvent>, storing: &mut Ends) -> bool {
        self.unbound.expire();
        let mut under_way = self.context.workload.events(events.len());
        let in_order = by_subject(events).into_values().map(|events| self.publish_in_order(events));
        let mut publishing: FuturesUnordered<_> = in_order.collect();
        let (mut ends, mut all_taken) = (Vec::new(), true);
        loop {
            // Without the end of an event that the broker does not confirm, the ends of the others are stored.
            match self.left.run_until_cancelled(publishing.next()).await {
                Some(Some(of_subject)) => {
                    under_way.ended(of_subject.len());
                    ends.extend(of_subject);
                }
                Some(None) => break,
                None => {
                    all_taken = false;
                    break;
                }
            }
        }
        drop(publishing);
        all_taken &= ends.iter().all(|(_, end)| matches!(end, End::Confirmed));
        storing.store(ends).await;
        all_taken
    }

    /// Publishes the events of one subject, one after the other.
    async fn publish_in_order(&self, events: Vec<OutboxEvent>) -> Vec<(OutboxEvent, End)> {
        let mut ends = Vec::with_capacity(events.len());
        for event in events {
            let end = if event.unbound || self.unbound.holds(&event.routing_key) {
                End::Behind
            } else {
                end_of(publish(&self.context, &*self.publisher, &event).await, &event)
            };
            if matches!(end, End::Returned) {
                self.unbound.add(&event.routing_key);
            }
            ends.push((event, end));
        }
        ends
    }
}

/// Runs work on several events, and counts its panic. The events are due again, and only the next search finds them.
pub(super) async fn unit<T: Default>(context: &WorkerContext, work: impl Future<Output = T>) -> T {
    guarded(work).await.unwrap_or_else(|panic| {
        panicked(context, Task::OutboxRelay, &"events", panic);
        T::default()
    })
}
