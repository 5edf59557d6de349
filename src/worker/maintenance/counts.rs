//! Counts what is in the store for the gauges; what took long to count is counted seldom.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::every::Every;
use super::gauges;
use super::rest::Rest;
use crate::batch::Reason;
use crate::guard::{Task, may_panic};
use crate::metrics::UNKNOWN_REASON;
use crate::store::StoreError;
use crate::store::shelf::ShelfCount;
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// How often it is checked whether something is to be counted.
const PERIOD: Duration = Duration::from_secs(2);
/// How often connections are counted at most, which seldom change, and what waits for long.
const CENSUS: Duration = Duration::from_secs(30);
/// How long before its removal an event that no queue is bound for is counted as expiring.
const EXPIRES_SOON: Duration = Duration::from_secs(24 * 3_600);
/// Of how many tenants the backlog on the shelf is known: those with the most.
const BACKLOGS: u32 = 100;

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    PendingEvents,
    Shelf,
    Ages,
    Connections,
    UnroutableEvents,
    Backlogs,
    Replays,
}

/// Counts until `stop`.
pub(in crate::worker) async fn keep_counts(context: Arc<WorkerContext>, stop: CancellationToken) {
    let rest = |subject, period| (subject, Rest::new(period));
    let mut subjects = [
        // Every time, unless it takes long.
        rest(Subject::PendingEvents, Duration::ZERO),
        rest(Subject::Shelf, Duration::ZERO),
        rest(Subject::Ages, CENSUS),
        rest(Subject::Connections, CENSUS),
        rest(Subject::UnroutableEvents, CENSUS),
        rest(Subject::Backlogs, CENSUS),
        rest(Subject::Replays, CENSUS),
    ];
    let mut every = Every::new(PERIOD, stop);
    while every.is_due().await {
        for (subject, rest) in &mut subjects {
            if !rest.is_over(Instant::now()) {
                continue;
            }
            let began = Instant::now();
            let counting = unit(&context, Task::Health, &"counts", count(&context, *subject));
            if let Some(Err(error)) = every.unless_stopped(counting).await {
                tracing::warn!(%error, what = ?subject, "the store's rows cannot be counted");
            }
            rest.begin(Instant::now(), began.elapsed());
        }
        show_unreadable(&context);
    }
}

async fn count(context: &WorkerContext, subject: Subject) -> Result<(), StoreError> {
    let (store, metrics) = (&context.store, &context.metrics);
    match subject {
        Subject::PendingEvents => {
            may_panic("counts", &"counts");
            metrics.outbox_pending_events.set(store.due_count().await?);
        }
        Subject::Shelf => show_shelf(context, &store.shelf_counts().await?),
        Subject::Ages => gauges::show_ages(&store.shelf_ages().await?, store.now(), metrics),
        Subject::Connections => {
            gauges::show_connections(&store.connection_counts().await?, context.clock.now(), metrics);
        }
        Subject::UnroutableEvents => {
            let expiring_after = context.config.store.retention.saturating_sub(EXPIRES_SOON);
            let counts = store.unbound_counts(expiring_after, context.config.events.unroutable_alert_after).await?;
            metrics.outbox_unroutable_events.set(counts.events);
            metrics.outbox_expiring_events.set(counts.old_events);
            metrics.outbox_unroutable_routing_keys.set(counts.old_keys);
        }
        Subject::Backlogs => {
            let backlogs = store.shed_counts(BACKLOGS).await?;
            context.backlogs.replace(backlogs.into_iter().collect());
        }
        Subject::Replays => {
            gauges::show_replays(&store.replay_counts().await?, metrics);
            metrics.replays_stopped.set(i64::try_from(store.stopped_replays().await?).unwrap_or(i64::MAX));
        }
    }
    Ok(())
}

fn show_shelf(context: &WorkerContext, counts: &[ShelfCount]) {
    let gauge = &context.metrics.shelf_batches;
    for state in ["parked", "dead"] {
        for reason in Reason::ALL {
            gauge.with_label_values(&[state, reason.code()]).set(count_of(counts, state, Some(*reason)));
        }
        gauge.with_label_values(&[state, UNKNOWN_REASON]).set(count_of(counts, state, None));
    }
}

fn show_unreadable(context: &WorkerContext) {
    for (table, rows) in context.store.unreadable_rows() {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        context.metrics.store_unreadable_rows.with_label_values(&[table]).set(rows);
    }
}

fn count_of(counts: &[ShelfCount], state: &str, reason: Option<Reason>) -> i64 {
    let here = counts.iter().find(|count| count.state.name() == state && count.reason == reason);
    here.map_or(0, |count| count.count)
}
