//! Drops copies of a batch that have nothing to wait for, and reports the outcome again where there is one.

use crate::batch::BatchKey;
use crate::batch::event;
use crate::batch::ledger::{BatchRecord, BatchState, Standing};
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::model::InboundMessage;

/// Reports the outcome of a batch again if the batch is finished, or drops a copy of a message that a person has edited
/// since: both have nothing to wait for. Otherwise returns the number of the outcome that is still to come.
pub(in crate::worker) async fn resend_if_finished(
    context: &WorkerContext,
    key: &BatchKey,
    fingerprint: &str,
    message: &InboundMessage,
) -> Result<Option<u32>, StoreError> {
    let (stored, _) = context.store.batch_at(key).await?;
    let Some(mut record) = stored.map(|stored| stored.record) else {
        return Ok(Some(context.restored.first_revision()));
    };
    match record.standing(fingerprint) {
        Standing::Present if record.state == BatchState::Open => {
            record.continue_after(&context.restored);
            Ok(Some(record.revision))
        }
        Standing::Present | Standing::Earlier => drop_copy(context, &record, message).await.map(|()| None),
        Standing::Other => Ok(Some(context.restored.first_revision())),
    }
}

/// Drops a copy: of a finished batch, whose outcome is reported again, or of a message that a person has edited since. The
/// edited message is on the shelf, or in hand, until the batch has an outcome.
pub(in crate::worker) async fn drop_copy(
    context: &WorkerContext,
    record: &BatchRecord,
    message: &InboundMessage,
) -> Result<(), StoreError> {
    if record.state != BatchState::Open {
        return resend_outcome(context, record, message).await;
    }
    remove_row(context, message).await?;
    context.metrics.batches.with_label_values(&["duplicate"]).inc();
    tracing::info!(batch = %record.key, trace_id = logged(record.trace.as_ref()), "duplicate of a message that was edited");
    Ok(())
}

/// Publishes the outcome of a finished batch again, and removes the copy's row from the shelf.
async fn resend_outcome(
    context: &WorkerContext,
    record: &BatchRecord,
    message: &InboundMessage,
) -> Result<(), StoreError> {
    if let Some(event) = event::settlement_id(record) {
        context.store.resend_event(&record.key.to_string(), &event).await?;
    }
    remove_row(context, message).await?;
    context.outbox_wanted.notify_one();
    context.metrics.batches.with_label_values(&["duplicate"]).inc();
    tracing::info!(batch = %record.key, trace_id = logged(record.trace.as_ref()), state = record.state.name(), "duplicate of a finished batch");
    Ok(())
}

/// Removes the row of a copy that came from the shelf.
async fn remove_row(context: &WorkerContext, message: &InboundMessage) -> Result<(), StoreError> {
    if let Some(row) = message.row() {
        context.store.commit(Commit { unshelve: Some(row), ..Commit::default() }.into()).await?;
    }
    Ok(())
}
