//! Probes routing keys that no queue is bound for, and releases their events once one is.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::publish::{End, end_of, publish};
use crate::amqp::{Publish, PublishError};
use crate::guard::lock;
use crate::store::outbox::OutboxEvent;
use crate::store::unbound::Probe;
use crate::worker::context::WorkerContext;

/// How long it is remembered that no queue is bound for a routing key: longer than an event stays in memory.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Routing keys that no queue was bound for a moment ago, each with the time until which that is remembered: as long as
/// events can be in memory that were stored before the store knew of it.
#[derive(Debug, Default)]
pub(super) struct UnboundKeys(Mutex<HashMap<String, Instant>>);

impl UnboundKeys {
    /// Forgets keys whose time is over.
    pub(super) fn expire(&self) {
        let now = Instant::now();
        lock(&self.0).retain(|_, until| *until > now);
    }

    /// Returns whether no queue was bound for a key a moment ago.
    pub(super) fn holds(&self, key: &str) -> bool {
        lock(&self.0).contains_key(key)
    }

    /// Notes that no queue is bound for a key.
    pub(super) fn add(&self, key: &str) {
        lock(&self.0).insert(key.to_owned(), Instant::now() + REMEMBERED);
    }

    /// Notes that a queue is bound for a key.
    pub(super) fn remove(&self, key: &str) {
        lock(&self.0).remove(key);
    }
}

/// How the probe of a routing key ended.
pub(super) struct Probed {
    pub(super) routing_key: String,
    /// Whether the other events of the key can be published.
    pub(super) is_bound: bool,
    /// The event that the key was probed with, unless none waits any more.
    pub(super) attempt: Option<(OutboxEvent, End)>,
}

/// Probes routing keys, each with the first event that waits.
pub(super) async fn probe_all(context: &WorkerContext, publisher: &dyn Publish, probes: Vec<Probe>) -> Vec<Probed> {
    join_all(probes.into_iter().map(|Probe { routing_key, event }| async move {
        let Some(event) = event else {
            // If no event waits any more, releasing the key makes the store forget it.
            return Probed { routing_key, is_bound: true, attempt: None };
        };
        let published = publish(context, publisher, &event).await;
        // A queue that is full is bound; and an event that cannot be published must not keep the others waiting.
        let is_bound = matches!(
            published,
            Some(
                Ok(())
                    | Err(PublishError::Refused { .. }
                        | PublishError::TooLarge { .. }
                        | PublishError::Malformed { .. })
            )
        );
        let end = end_of(published, &event);
        Probed { routing_key, is_bound, attempt: Some((event, end)) }
    }))
    .await
}
