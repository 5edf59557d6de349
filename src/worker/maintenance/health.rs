//! Checks broker and store, sets the gauges, and pauses the intake while the store is unavailable.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gauges;
use crate::amqp::{Intake, IntakeControl, Publish, Status};
use crate::batch::Reason;
use crate::guard::{Count, Task, may_panic};
use crate::http::Readiness;
use crate::metrics::UNKNOWN_REASON;
use crate::store::StoreError;
use crate::store::shelf::ShelfCount;
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// How often the store is checked.
const PERIOD: Duration = Duration::from_secs(2);
/// How long the store may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often the connections are counted: that reads all of them, and they seldom change.
const CENSUS: Duration = Duration::from_secs(30);
/// How long before its removal an event that no queue is bound for is counted as expiring.
const EXPIRES_SOON: Duration = Duration::from_secs(24 * 3_600);
/// Of how many tenants the backlog on the shelf is known: those with the most.
const BACKLOGS: u32 = 100;

/// Everything that is checked.
pub(in crate::worker) struct Watched {
    pub(in crate::worker) context: Arc<WorkerContext>,
    pub(in crate::worker) readiness: Readiness,
    /// The connections to the broker, by the name that readiness and metrics use.
    pub(in crate::worker) links: [(&'static str, Receiver<Status>); 4],
    pub(in crate::worker) controls: Vec<IntakeControl>,
    /// When the connections were last counted.
    pub(in crate::worker) counted_at: Option<Instant>,
    pub(in crate::worker) panics: Panics,
}

/// Panics that were caught outside the worker's own tasks, and how many of them are counted.
pub(in crate::worker) struct Panics {
    context: Arc<WorkerContext>,
    consuming: Vec<Count>,
    publishing: Count,
}

impl Panics {
    pub(in crate::worker) fn new(context: &Arc<WorkerContext>, intakes: [&Intake; 3], publisher: &dyn Publish) -> Self {
        let consuming = intakes.into_iter().map(Intake::panics).collect();
        Self { context: context.clone(), consuming, publishing: publisher.panics() }
    }

    fn show(&self) {
        let consumed = self.consuming.iter().map(Count::get).sum();
        let seen = [
            (Task::Consumer, consumed),
            (Task::Publisher, self.publishing.get()),
            (Task::Store, self.context.store.panics()),
        ];
        for (task, count) in seen {
            let counter = self.context.metrics.panics.with_label_values(&[task.name()]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}

/// Watches until `stop`.
pub(in crate::worker) async fn watch(mut watched: Watched, stop: CancellationToken) {
    let mut due = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = due.tick() => {
                watched.panics.show();
                watched.check_store().await;
            }
            () = changed(&mut watched.links) => {}
        }
        watched.check_broker();
    }
}

/// Waits until the state of a connection changes.
async fn changed(links: &mut [(&'static str, Receiver<Status>)]) {
    let changes = links.iter_mut().map(|(_, status)| {
        Box::pin(async {
            // A connection that is closed for good changes no more.
            if status.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    });
    select_all(changes).await;
}

impl Watched {
    fn check_broker(&self) {
        for (link, status) in &self.links {
            let up = status.borrow().is_up();
            self.context.metrics.broker_up.with_label_values(&[*link]).set(i64::from(up));
            self.readiness.set(link, up);
        }
    }

    async fn check_store(&mut self) {
        let context = self.context.clone();
        let counting = unit(&context, Task::Health, &"counts", self.count());
        let counted = tokio::time::timeout(ANSWER, counting).await;
        // A row that this version cannot read, or a panic, does not mean that the store is unavailable.
        let defect = |error: &StoreError| {
            matches!(error, StoreError::Unreadable(_) | StoreError::Malformed(_) | StoreError::Panicked(_))
        };
        let up = counted.is_ok_and(|counted| counted.as_ref().err().is_none_or(defect));
        self.context.metrics.store_up.set(i64::from(up));
        if self.readiness.set("store", up) {
            for control in &self.controls {
                if up { control.resume() } else { control.pause() }
            }
        }
    }

    async fn count(&mut self) -> Result<(), StoreError> {
        let metrics = &self.context.metrics;
        self.context.store.ping().await?;
        may_panic("counts", &"counts");
        metrics.outbox_pending_events.set(self.context.store.due_count().await?);
        let counts = self.context.store.shelf_counts().await?;
        for state in ["parked", "dead"] {
            for reason in Reason::ALL {
                metrics.shelf_batches.with_label_values(&[state, reason.code()]).set(count_of(
                    &counts,
                    state,
                    Some(*reason),
                ));
            }
            metrics.shelf_batches.with_label_values(&[state, UNKNOWN_REASON]).set(count_of(&counts, state, None));
        }
        for (table, rows) in self.context.store.unreadable_rows() {
            metrics.store_unreadable_rows.with_label_values(&[table]).set(i64::try_from(rows).unwrap_or(i64::MAX));
        }
        if self.counted_at.is_none_or(|at| at.elapsed() >= CENSUS) {
            gauges::show_connections(&self.context.store.connection_counts().await?, self.context.clock.now(), metrics);
            self.count_unbound().await?;
            let backlog = self.context.store.shed_counts(BACKLOGS).await?;
            self.context.backlogs.replace(backlog.into_iter().collect());
            self.counted_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Counts the events that no queue is bound for.
    async fn count_unbound(&self) -> Result<(), StoreError> {
        let (config, metrics) = (&self.context.config, &self.context.metrics);
        let expiring_after = config.store.retention.saturating_sub(EXPIRES_SOON);
        let counts = self.context.store.unbound_counts(expiring_after, config.events.unroutable_alert_after).await?;
        metrics.outbox_unroutable_events.set(counts.events);
        metrics.outbox_expiring_events.set(counts.old_events);
        metrics.outbox_unroutable_routing_keys.set(counts.old_keys);
        Ok(())
    }
}

fn count_of(counts: &[ShelfCount], state: &str, reason: Option<Reason>) -> i64 {
    let here = counts.iter().find(|count| count.state.name() == state && count.reason == reason);
    here.map_or(0, |count| count.count)
}
