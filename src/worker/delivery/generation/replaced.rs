//! Finds the source of the batch that a batch replaces.

use super::super::look_up::store_first;
use super::ends::{PATIENCE, PAUSE, wait_for};
use crate::batch::generation::{Replaced, replaced};
use crate::batch::ledger::BatchState;
use crate::batch::{BatchKey, Reason};
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, NextStep};
use crate::worker::outcome::finish::finish;

/// Notes the source of the batch that is replaced; returns what follows if the batch has to wait for it, or if it is not
/// known.
pub(super) async fn find_replaced(
    context: &WorkerContext,
    batch: &mut ActiveBatch,
) -> Result<Option<NextStep>, StoreError> {
    let Some(id) = batch.generation.replaces.clone() else { return Ok(None) };
    if batch.generation.replaced.is_some() {
        note_sources(batch);
        return Ok(None);
    }
    let key = BatchKey::new(batch.key.batch.tenant.clone(), id);
    let stored = context.store.batch_at(&key).await?.0;
    match replaced(stored.as_ref().map(|stored| &stored.record)) {
        Replaced::Known(source) => {
            batch.generation.replaced = Some(source);
            note_sources(batch);
            Ok(None)
        }
        // The batch is known while it waits: one that replaces it waits for it in turn.
        Replaced::Open if batch.stored_epoch == 0 && !store_first(context, batch).await? => Ok(Some(NextStep::Refresh)),
        Replaced::Open => Ok(Some(wait_for(batch, &key))),
        // It may just be arriving.
        Replaced::Unknown if batch.in_hand_since.elapsed() < PATIENCE => Ok(Some(NextStep::Pause(PAUSE))),
        Replaced::Unknown => unknown(context, batch, &key).await.map(Some),
    }
}

/// Notes the names of the batch's sources in its record, which may have been read from the store since they were found.
fn note_sources(batch: &mut ActiveBatch) {
    let own = batch.own_source().into_owned();
    batch.record.replaced = batch.generation.replaced.clone().filter(|replaced| *replaced != own);
    batch.record.source = Some(own);
}

/// Leaves a batch to a person, as the batch that it replaces is not known.
async fn unknown(context: &WorkerContext, batch: &mut ActiveBatch, key: &BatchKey) -> Result<NextStep, StoreError> {
    if batch.stored_epoch == 0 && !store_first(context, batch).await? {
        return Ok(NextStep::Refresh);
    }
    batch.question = Some(format!("batch {} of this tenant is not known", key.batch.as_str()));
    let partly = batch.record.known_ids_at(batch.account()).next().is_some();
    let state = if partly { BatchState::Partial } else { BatchState::Failed };
    let outcome = finish(context, batch, state, Some(Reason::ReplacedUnknown), Commit::default()).await?;
    Ok(if outcome.is_done() { NextStep::Finished } else { NextStep::Refresh })
}
