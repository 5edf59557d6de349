//! How are the neighbours? Looks at broker and store, sets the gauges, and pauses the intake while the store is away.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::census;
use super::courier::Courier;
use crate::admin::Readiness;
use crate::amqp::{Intake, IntakeControl, Publish, Status};
use crate::batch::Reason;
use crate::guard::{Count, Task, may_panic};
use crate::metrics::UNKNOWN_REASON;
use crate::store::StoreError;
use crate::store::shelf::ShelfCount;

/// How often the store is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long the store may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How often the connections are counted: it reads all of them, and they change by the day.
const CENSUS: Duration = Duration::from_secs(30);
/// How long before its removal an event that no queue is bound for is counted as expiring.
const EXPIRES_SOON: Duration = Duration::from_secs(24 * 3_600);
/// Of so many tenants it is known how much waits on the shelf, those with the most.
const BACKLOGS: u32 = 100;

pub(super) struct Watched {
    pub(super) courier: Arc<Courier>,
    pub(super) readiness: Readiness,
    /// The connections to the broker, by the name that readiness and metrics use.
    pub(super) links: [(&'static str, Receiver<Status>); 4],
    pub(super) controls: Vec<IntakeControl>,
    /// When the connections were last counted.
    pub(super) counted_at: Option<Instant>,
    pub(super) panics: Panics,
}

/// Panics that were caught outside the worker's own tasks, and how many of them are counted.
pub(super) struct Panics {
    courier: Arc<Courier>,
    consuming: Vec<Count>,
    publishing: Count,
}

impl Panics {
    pub(super) fn new(courier: &Arc<Courier>, intakes: [&Intake; 3], publisher: &dyn Publish) -> Self {
        let consuming = intakes.into_iter().map(Intake::panics).collect();
        Self { courier: courier.clone(), consuming, publishing: publisher.panics() }
    }

    fn show(&self) {
        let consumed = self.consuming.iter().map(Count::get).sum();
        let seen = [
            (Task::Consumer, consumed),
            (Task::Publisher, self.publishing.get()),
            (Task::Store, self.courier.store.panics()),
        ];
        for (task, count) in seen {
            let counter = self.courier.metrics.panics.with_label_values(&[task.name()]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}

/// Watches until `stop`.
pub(super) async fn watch(mut watched: Watched, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = look.tick() => {
                watched.panics.show();
                watched.look_at_store().await;
            }
            () = changed(&mut watched.links) => {}
        }
        watched.look_at_broker();
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
    fn look_at_broker(&self) {
        for (link, status) in &self.links {
            let up = status.borrow().is_up();
            self.courier.metrics.broker_up.with_label_values(&[*link]).set(i64::from(up));
            self.readiness.set(link, up);
        }
    }

    async fn look_at_store(&mut self) {
        let courier = self.courier.clone();
        let counting = courier.unit(Task::Health, &"counts", self.count());
        let counted = tokio::time::timeout(ANSWER, counting).await;
        // A row that this version cannot read, or a panic over counts, says nothing of the store.
        let defect = |error: &StoreError| {
            matches!(error, StoreError::Unreadable(_) | StoreError::Malformed(_) | StoreError::Panicked(_))
        };
        let up = counted.is_ok_and(|counted| counted.as_ref().err().is_none_or(defect));
        self.courier.metrics.store_up.set(i64::from(up));
        if self.readiness.set("store", up) {
            for control in &self.controls {
                if up { control.resume() } else { control.pause() }
            }
        }
    }

    async fn count(&mut self) -> Result<(), StoreError> {
        let metrics = &self.courier.metrics;
        self.courier.store.ping().await?;
        may_panic("counts", &"counts");
        metrics.events_waiting.set(self.courier.store.due_count().await?);
        let counts = self.courier.store.shelf_counts().await?;
        for state in ["parked", "dead"] {
            for reason in Reason::ALL {
                metrics.shelf.with_label_values(&[state, reason.code()]).set(count_of(&counts, state, Some(*reason)));
            }
            metrics.shelf.with_label_values(&[state, UNKNOWN_REASON]).set(count_of(&counts, state, None));
        }
        for (table, rows) in self.courier.store.unreadable_rows() {
            metrics.unreadable_rows.with_label_values(&[table]).set(i64::try_from(rows).unwrap_or(i64::MAX));
        }
        if self.counted_at.is_none_or(|at| at.elapsed() >= CENSUS) {
            census::show(&self.courier.store.connection_counts().await?, self.courier.clock.now(), metrics);
            self.count_unbound().await?;
            let backlog = self.courier.store.shed_counts(BACKLOGS).await?;
            if let Ok(mut shelved) = self.courier.shelved.lock() {
                *shelved = backlog.into_iter().collect();
            }
            self.counted_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Counts the events that no queue is bound for.
    async fn count_unbound(&self) -> Result<(), StoreError> {
        let (config, metrics) = (&self.courier.config, &self.courier.metrics);
        let expiring_after = config.store.retention.saturating_sub(EXPIRES_SOON);
        let counts = self.courier.store.unbound_counts(expiring_after, config.events.unheard_for).await?;
        metrics.events_unbound.set(counts.events);
        metrics.events_expiring.set(counts.old_events);
        metrics.events_unheard_keys.set(counts.old_keys);
        Ok(())
    }
}

fn count_of(counts: &[ShelfCount], state: &str, reason: Option<Reason>) -> i64 {
    let here = counts.iter().find(|count| count.state.name() == state && count.reason == reason);
    here.map_or(0, |count| count.count)
}
