//! Decides what becomes of a batch when work on it panicked, or when the store failed or refused a value of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::guard::Task;
use crate::lane::QueuePosition;
use crate::store::StoreError;
use crate::trace::logged;
use crate::worker::admission::quarantine::quarantine;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, Disposition};
use crate::worker::store_retry::{STORE_PATIENCE, STORE_PAUSE};
use crate::worker::unit::unit;

/// How often work on a batch may panic in one process; then the batch is a suspect.
const MOST_PANICS: u32 = 3;
/// The pause after the first panic; each further pause is four times as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a panic.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Holds back a batch whose processing panicked, or of which the store refuses a value: in its lane, apart from others
/// and each time for longer; then on the shelf, as a suspect.
pub(in crate::worker) async fn hold_back(
    context: &WorkerContext,
    mut batch: Box<ActiveBatch>,
    panic: &str,
) -> (Box<ActiveBatch>, Disposition) {
    batch.panics += 1;
    if batch.panics == 1 {
        context.metrics.own_errors.with_label_values(&["panic"]).inc();
    }
    batch.start_over();
    let pause = FIRST_PAUSE.saturating_mul(4_u32.saturating_pow(batch.panics - 1)).min(LONGEST_PAUSE);
    if batch.message.suspect || batch.panics >= MOST_PANICS {
        let setting_apart = quarantine(context, &batch.message, Some(panic));
        match unit(context, Task::Dispatcher, &batch.key, setting_apart).await {
            Ok(()) => return (batch, Disposition::Shelved),
            Err(StoreError::Panicked(_) | StoreError::Data(_)) => {}
            Err(error) => return store_failed(batch, &error),
        }
    }
    tracing::warn!(batch = %batch.key.batch, trace_id = logged(batch.trace()), backoff = ?pause, "a batch is held for a pause after a panic");
    (batch, after(pause))
}

/// Keeps a batch while the store fails, for a limited time; then it goes back to where it came from.
pub(super) fn store_failed(mut batch: Box<ActiveBatch>, error: &StoreError) -> (Box<ActiveBatch>, Disposition) {
    let since = *batch.store_failing_since.get_or_insert_with(Instant::now);
    tracing::warn!(batch = %batch.key.batch, trace_id = logged(batch.trace()), %error, "the store failed; the batch is kept for a limited time");
    if since.elapsed() > STORE_PATIENCE || matches!(error, StoreError::Closed) {
        return (batch, Disposition::GiveBack);
    }
    // What was not stored does not count: the next claim reads the ledger.
    batch.stored_epoch = 0;
    (batch, after(STORE_PAUSE))
}

fn after(pause: Duration) -> Disposition {
    Disposition::Enqueue(QueuePosition::NotBefore(Instant::now() + pause))
}
