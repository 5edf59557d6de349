//! Releases claims whose request was never sent: the claim came too late, or its answer was lost.

use futures_util::future::join_all;

use super::job::Part;
use super::share::Share;
use crate::batch::ledger::BatchRecord;
use crate::store::StoreError;
use crate::store::ledger::{Commit, PushEnded};
use crate::worker::context::WorkerContext;
use crate::worker::model::NextStep;
use crate::worker::outcome::commit::commit_record;
use crate::worker::store_retry::patiently;

/// How a push ended that was claimed and not sent.
const NOT_SENT: &str = "not sent";

/// Releases claims that were granted and not used, and their permit. Where the store fails over one of them, the others
/// are released all the same.
pub(super) async fn release_claims(
    context: &WorkerContext,
    shares: Vec<Share<'_>>,
    push: &str,
) -> Result<(), StoreError> {
    join_all(shares.into_iter().map(|share| release(context, share.part, push))).await.into_iter().collect()
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
    let releasing = join_all(shares.into_iter().map(|share| release_if_granted(context, share.part, push)));
    let ends = context.stop.unless_draining(releasing).await.unwrap_or_default();
    let has_ended = !ends.is_empty();
    let all_granted = ends.into_iter().try_fold(has_ended, |all, end| Ok::<_, StoreError>(all & end?))?;
    if !all_granted {
        return Err(error);
    }
    tracing::warn!(%error, "a claim was stored without an answer; it is released, as nothing was sent");
    Ok(())
}

/// Releases a batch's claim where the store shows that it was granted; returns whether it was.
async fn release_if_granted(context: &WorkerContext, part: &mut Part, push: &str) -> Result<bool, StoreError> {
    let (stored, _) = patiently(|| context.store.batch_at(&part.batch.key.batch)).await?;
    let is_granted = |record: &BatchRecord| record.open_push.as_ref().is_some_and(|open| open.id == push);
    let Some(record) = stored.map(|stored| stored.record).filter(is_granted) else { return Ok(false) };
    (part.batch.stored_epoch, part.batch.record) = (record.epoch, record);
    release(context, part, push).await?;
    Ok(true)
}

async fn release(context: &WorkerContext, part: &mut Part, push: &str) -> Result<(), StoreError> {
    part.batch.record.not_created(vec![]);
    let ended = Some(PushEnded { push: push.to_owned(), answer: NOT_SENT.into(), detail: None, ids: None });
    let released = commit_record(context, &mut part.batch, Commit { ended, ..Commit::default() }).await?;
    part.next = Some(if released.is_done() { NextStep::NextTurn } else { NextStep::Refresh });
    Ok(())
}
