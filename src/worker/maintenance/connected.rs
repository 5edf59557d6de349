//! Has batches tried again that were given up for want of a connection, once their tenant has one.
//!
//! Entering a connection does this at once. This finds what was left over when that was cut off, or was given up at the same
//! moment.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::every::Every;
use crate::batch::ledger::BatchState;
use crate::guard::Task;
use crate::store::StoreError;
use crate::store::ledger::{Commit, RecordUpdate};
use crate::store::shelf::{Action, OperatorAction, ShelfId, ShelfIdentity, Shelved};
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// How often such batches are looked for.
const PERIOD: Duration = Duration::from_secs(600);
/// How many of them are in memory at once.
const AT_ONCE: u32 = 10;

/// Looks for such batches until `stop`.
pub(in crate::worker) async fn retry_connected(context: Arc<WorkerContext>, stop: CancellationToken) {
    let mut every = Every::new(PERIOD, stop);
    while every.is_due().await {
        let retrying = unit(&context, Task::Recheck, &"batches of tenants that are connected now", retry_all(&context));
        if let Some(Err(error)) = every.unless_stopped(retrying).await {
            tracing::warn!(%error, "batches of tenants that are connected now cannot be retried");
        }
    }
}

async fn retry_all(context: &WorkerContext) -> Result<(), StoreError> {
    let mut after = ShelfId(0);
    loop {
        let rows = context.store.connected_since(after, AT_ONCE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        for row in &rows {
            retry(context, row).await?;
        }
    }
}

/// Has a batch tried again, with the next revision; a batch that is not as it was given up is left to a person.
async fn retry(context: &WorkerContext, row: &Shelved) -> Result<(), StoreError> {
    let ShelfIdentity::Batch(key, fingerprint) = &row.content.identity else { return Ok(()) };
    let mut record = match context.store.batch_at(key).await {
        Ok((Some(stored), _)) => stored.record,
        Ok((None, _)) | Err(StoreError::Unreadable(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    if record.fingerprint != *fingerprint || record.state != BatchState::Failed || record.cases.is_empty() {
        return Ok(());
    }
    let from_epoch = record.epoch;
    // Nothing of it was ever sent, so no account matters.
    record.reopen(None);
    let (id, generation, batch) = (row.id, row.generation, Some(key.clone()));
    let action = OperatorAction { id, generation, action: Action::Replay, batch, item: None };
    let change =
        Commit { batch: Some(RecordUpdate { record, from_epoch }), operator_action: Some(action), ..Commit::default() };
    if context.store.commit(change.into()).await?.is_done() {
        tracing::info!(batch = %key, trace_id = logged(row.content.trace().as_ref()), "the batch's tenant is connected now; it is retried");
    }
    Ok(())
}
