//! Adds what the worker has counted to the trend, once in a step.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::batch::Reason;
use crate::guard::{Task, may_panic};
use crate::metrics::{Metrics, UNKNOWN_REASON};
use crate::store::StoreError;
use crate::store::trend::{Addition, Counts, Width};
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// How long after the end of a step it is stored, so that the store's clock has reached the next one.
const LATER: Duration = Duration::from_secs(1);
/// How long the store may take for the last step of a worker that stops.
const LONGEST_FAREWELL: Duration = Duration::from_millis(500);
/// Outcomes after which a batch needs a person.
const FAILED: [&str; 3] = ["partial", "failed", "dead"];

/// What a worker has added to the trend.
#[derive(Debug, Default)]
struct Added {
    /// What was counted up to the last addition.
    total: Counts,
    /// The number of the last addition.
    number: u64,
    /// The last addition, if it is not known to be stored.
    unanswered: Option<Addition>,
}

/// Keeps the trend until `stop`, and then adds what was counted last.
pub(in crate::worker) async fn keep_trend(context: Arc<WorkerContext>, stop: CancellationToken) {
    let mut added = Added::default();
    let mut is_running = true;
    while is_running {
        let began_at = context.store.now();
        is_running = stop.run_until_cancelled(sleep(until_end(began_at))).await.is_some();
        let total = totals(&context.metrics);
        let adding = unit(&context, Task::Health, &"the trend", add(&context, &mut added, began_at, total));
        let end = if is_running {
            stop.run_until_cancelled(adding).await
        } else {
            timeout(LONGEST_FAREWELL, adding).await.ok()
        };
        if let Some(Err(error)) = end {
            // It is added with the next step.
            tracing::warn!(%error, "the trend cannot be stored");
        }
    }
}

/// Adds what is not known to be stored, and then what was counted since.
async fn add(context: &WorkerContext, added: &mut Added, began_at: i64, total: Counts) -> Result<(), StoreError> {
    may_panic("trend", &"counts");
    loop {
        let (addition, is_last) = added.next(&context.holder, began_at, total);
        context.store.add_to_trend(addition).await?;
        added.unanswered = None;
        if is_last {
            return Ok(());
        }
    }
}

impl Added {
    /// Returns what is added next, and whether nothing is left after it. An addition that was not answered is sent again as it
    /// was, so that the store recognizes it.
    fn next(&mut self, source: &str, at: i64, total: Counts) -> (&Addition, bool) {
        let is_last = self.unanswered.is_none();
        let addition = self.unanswered.get_or_insert_with(|| {
            self.number += 1;
            let counts = since(total, std::mem::replace(&mut self.total, total));
            Addition { source: source.to_owned(), number: self.number, at, counts }
        });
        (addition, is_last)
    }
}

/// Returns how long it takes until the step is over in which a time lies, in milliseconds on the store's clock.
fn until_end(at: i64) -> Duration {
    let left = Width::Fine.begin_of(at).saturating_add(Width::Fine.ms()).saturating_sub(at);
    Duration::from_millis(u64::try_from(left).unwrap_or(0)) + LATER
}

/// Returns what the worker has counted since its start, and what waits now.
fn totals(metrics: &Metrics) -> Counts {
    let finished = |outcome: &str| metrics.batches.with_label_values(&[outcome]).get();
    let reasons = Reason::ALL.iter().map(|reason| reason.code()).chain([UNKNOWN_REASON]);
    let parked = |reason: &str| metrics.shelf_batches.with_label_values(&["parked", reason]).get();
    Counts {
        delivered: finished("delivered"),
        failed: FAILED.into_iter().map(finished).sum(),
        waiting: u64::try_from(reasons.map(parked).sum::<i64>()).unwrap_or(0),
    }
}

/// Returns what was counted since something was added to the trend, and what waits.
fn since(total: Counts, added: Counts) -> Counts {
    Counts { delivered: total.delivered - added.delivered, failed: total.failed - added.failed, ..total }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_ends_shortly_after_the_clock_has_reached_the_next_one() {
        for (at, seconds) in [(0, 301), (1_000, 300), (299_000, 2), (300_000, 301)] {
            assert_eq!(until_end(at), Duration::from_secs(seconds));
        }
    }

    #[test]
    fn an_addition_that_was_not_answered_is_sent_again_as_it_was_before_a_new_one() {
        let counts = |delivered, waiting| Counts { delivered, failed: 0, waiting };
        let of = |number, at, counts| Addition { source: "w".into(), number, at, counts };
        let mut added = Added::default();
        let first = of(1, 100, counts(5, 3));
        assert_eq!(added.next("w", 100, counts(5, 3)), (&first, true));
        // The store did not answer, and more was counted meanwhile.
        assert_eq!(added.next("w", 200, counts(7, 9)), (&first, false));
        added.unanswered = None;
        assert_eq!(added.next("w", 200, counts(7, 9)), (&of(2, 200, counts(2, 9)), true));
        added.unanswered = None;
        assert_eq!(added.next("w", 300, counts(7, 0)), (&of(3, 300, counts(0, 0)), true));
    }

    #[test]
    fn only_what_was_counted_since_the_last_step_is_added() {
        let metrics = Metrics::new().unwrap();
        let finish = |outcome: &str, count| metrics.batches.with_label_values(&[outcome]).inc_by(count);
        finish("delivered", 5);
        finish("duplicate", 1);
        finish("parked", 3);
        metrics.shelf_batches.with_label_values(&["parked", "paused"]).set(2);
        metrics.shelf_batches.with_label_values(&["parked", UNKNOWN_REASON]).set(1);
        metrics.shelf_batches.with_label_values(&["dead", "paused"]).set(9);
        let first = totals(&metrics);
        assert_eq!(since(first, Counts::default()), Counts { delivered: 5, failed: 0, waiting: 3 });
        finish("delivered", 1);
        FAILED.into_iter().for_each(|outcome| finish(outcome, 1));
        metrics.shelf_batches.with_label_values(&["parked", "paused"]).set(0);
        assert_eq!(since(totals(&metrics), first), Counts { delivered: 1, failed: 3, waiting: 1 });
    }
}
