//! Releases claims whose request was never sent: the claim came too late, or its answer was lost.

use super::share::Share;
use crate::batch::ledger::BatchRecord;
use crate::store::StoreError;
use crate::store::ledger::{Commit, PushEnded};
use crate::worker::context::WorkerContext;
use crate::worker::model::{ActiveBatch, NextStep};
use crate::worker::outcome::commit::commit_record;
use crate::worker::store_retry::patiently;

/// How a push ended that was claimed and not sent.
const NOT_SENT: &str = "not sent";

/// Releases claims that were granted and not used, and their permit.
pub(super) async fn release_claims(
    context: &WorkerContext,
    shares: Vec<Share<'_>>,
    push: &str,
) -> Result<(), StoreError> {
    let mut failed = Ok(());
    for share in shares {
        match release(context, &mut share.part.batch, push).await {
            Ok(next) => share.part.next = Some(next),
            Err(error) => failed = Err(error),
        }
    }
    failed
}

/// Releases claims that may have been granted although the store failed with `error`. Otherwise their batches would wait
/// for the end of the lease, and so would the permit.
///
/// # Errors
/// `error`, where a claim was not granted, or another one.
pub(super) async fn release_unanswered(
    context: &WorkerContext,
    shares: Vec<Share<'_>>,
    push: &str,
    error: StoreError,
) -> Result<(), StoreError> {
    let releasing = async {
        let mut all_granted = true;
        for share in shares {
            let batch = &mut share.part.batch;
            let (stored, _) = patiently(|| context.store.batch_at(&batch.key.batch)).await?;
            let is_granted = |record: &BatchRecord| record.open_push.as_ref().is_some_and(|open| open.id == push);
            match stored.map(|stored| stored.record).filter(is_granted) {
                Some(record) => {
                    (batch.stored_epoch, batch.record) = (record.epoch, record);
                    share.part.next = Some(release(context, batch, push).await?);
                }
                None => all_granted = false,
            }
        }
        Ok::<bool, StoreError>(all_granted)
    };
    let all_granted = context.stop.unless_draining(releasing).await.unwrap_or(Ok(false))?;
    if !all_granted {
        return Err(error);
    }
    tracing::warn!(%error, "a claim was stored without an answer; it is released, as nothing was sent");
    Ok(())
}

async fn release(context: &WorkerContext, batch: &mut ActiveBatch, push: &str) -> Result<NextStep, StoreError> {
    batch.record.not_created(vec![]);
    let ended = Some(PushEnded { push: push.to_owned(), answer: NOT_SENT, ids: None });
    let released = commit_record(context, batch, Commit { ended, ..Commit::default() }).await?;
    Ok(if released.is_done() { NextStep::NextTurn } else { NextStep::Refresh })
}
