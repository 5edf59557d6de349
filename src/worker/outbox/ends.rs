//! Stores how the publishing of events ended, while the next ones are on their way.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::publish::End;
use crate::guard::{Panic, Task};
use crate::store::StoreError;
use crate::store::outbox::OutboxEvent;
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::unit::panicked;

/// How long an event waits that the broker does not take, and a routing key whose probe came to no end.
pub(super) const PAUSE: Duration = Duration::from_secs(30);
/// How long an event waits that the broker could not take just then: an outage of the broker must not outlive itself.
/// Without a connection nothing is tried.
pub(super) const SHORT_PAUSE: Duration = Duration::from_secs(1);

/// The ends that are being stored.
pub(super) struct Ends {
    context: Arc<WorkerContext>,
    storing: JoinSet<Result<(), StoreError>>,
}

impl Ends {
    pub(super) fn new(context: Arc<WorkerContext>) -> Self {
        Self { context, storing: JoinSet::new() }
    }

    /// Starts to store how the publishing of events ended, once the ends before are stored.
    pub(super) async fn store(&mut self, ends: Vec<(OutboxEvent, End)>) {
        let (mut sent, mut returned, mut behind) = (Vec::new(), Vec::new(), Vec::new());
        let (mut postponed, mut delayed) = (Vec::new(), Vec::new());
        for (event, end) in ends {
            match end {
                End::Confirmed => sent.push(event),
                End::Returned => returned.push(event),
                End::Behind => behind.push(event),
                End::NotNow => delayed.push(event),
                End::NotTaken => postponed.push(event),
            }
        }
        if !sent.is_empty() {
            failpoint::after(Failpoint::Publish);
        }
        let counts = [("confirmed", &sent), ("unroutable", &returned), ("failed", &postponed), ("failed", &delayed)];
        for (result, events) in counts {
            self.context.metrics.event_publishes.with_label_values(&[result]).inc_by(events.len() as u64);
        }
        self.stored().await;
        let context = self.context.clone();
        self.storing.spawn(async move {
            context.store.mark_sent(&sent).await?;
            context.store.set_aside(&returned, &behind).await?;
            context.store.postpone(&delayed, SHORT_PAUSE).await?;
            context.store.postpone(&postponed, PAUSE).await
        });
    }

    /// Waits until the end of every event is stored; returns whether it is.
    pub(super) async fn stored(&mut self) -> bool {
        let mut all = true;
        while let Some(end) = self.storing.join_next().await {
            match end {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => tracing::warn!(%error, "the result of publishing events cannot be stored"),
                Err(error) => {
                    let panic = Panic(error.to_string());
                    panicked(&self.context, Task::OutboxRelay, &"results of published events", panic);
                }
            }
            all = false;
        }
        all
    }
}
