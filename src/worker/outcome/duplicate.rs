//! Reports the outcome of a finished batch again to the publisher of a copy.

use crate::batch::BatchKey;
use crate::batch::event;
use crate::batch::ledger::{BatchRecord, BatchState};
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::worker::context::WorkerContext;
use crate::worker::model::InboundMessage;

/// Reports the outcome of a batch again if the batch is finished: a copy of it has nothing to wait for. Otherwise returns
/// the number of the outcome that is still to come.
pub(in crate::worker) async fn resend_if_finished(
    context: &WorkerContext,
    key: &BatchKey,
    fingerprint: &str,
    message: &InboundMessage,
) -> Result<Option<u32>, StoreError> {
    let (stored, _) = context.store.batch_at(key).await?;
    let is_finished = |record: &BatchRecord| record.state != BatchState::Open && record.fingerprint == fingerprint;
    match stored.map(|stored| stored.record) {
        Some(record) if is_finished(&record) => resend_outcome(context, &record, message).await.map(|()| None),
        Some(record) if record.fingerprint == fingerprint => Ok(Some(record.revision)),
        Some(_) | None => Ok(Some(1)),
    }
}

/// Publishes the outcome of a finished batch again, and removes the copy's row from the shelf.
pub(in crate::worker) async fn resend_outcome(
    context: &WorkerContext,
    record: &BatchRecord,
    message: &InboundMessage,
) -> Result<(), StoreError> {
    if let Some(event) = event::settlement_id(record) {
        context.store.resend_event(&record.key.to_string(), &event).await?;
    }
    if let Some(row) = message.row() {
        context.store.commit(Commit { unshelve: Some(row), ..Commit::default() }.into()).await?;
    }
    context.outbox_wanted.notify_one();
    context.metrics.batches.with_label_values(&["duplicate"]).inc();
    tracing::info!(batch = %record.key, state = record.state.name(), "duplicate of a finished batch");
    Ok(())
}
