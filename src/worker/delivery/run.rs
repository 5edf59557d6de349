//! Runs one piece of work on batches of one connection until each is finished or has to wait.

use std::time::Duration;

use futures_util::future::join_all;

use super::cause::release_held;
use super::claim::push;
use super::folder::locate;
use super::generation::advance;
use super::hold_back::{hold_back, store_failed};
use super::job::{Job, Part};
use super::look_up::look_up;
use super::next_step::{apply_next_step, pause_of};
use super::reconcile::reconcile;
use super::state::Delivery;
use crate::guard::{Task, may_panic};
use crate::lane::{Pack, QueuePosition};
use crate::store::StoreError;
use crate::trace::{Scope, within};
use crate::worker::model::{ActiveBatch, Disposition, Dispositions, NextStep, PushFeedback};
use crate::worker::outcome::finish::finish_known;
use crate::worker::unit::unit;

/// Works on batches of one connection until each is finished or has to wait; returns the disposition of each, and what
/// the work showed of their account.
pub(in crate::worker) async fn deliver(
    delivery: &Delivery,
    pack: Pack<Box<ActiveBatch>>,
) -> (Dispositions, PushFeedback) {
    let alone = pack.parts.iter().all(|(_, count)| *count == 0);
    let parts = pack.parts.into_iter().map(|(batch, count)| Part { batch, count, next: None }).collect();
    let mut job = Job { parts, feedback: PushFeedback::default(), last_try: pack.last_try };
    let (what, scope) = (job.name(), Scope::of(job.parts.iter().map(|part| part.batch.trace())));
    let work = async { if alone { prepare(delivery, &mut job).await } else { push_all(delivery, &mut job).await } };
    let worked = within(scope.clone(), unit(&delivery.context, Task::Dispatcher, &what, work)).await;
    within(scope, conclude(delivery, job, worked.err())).await
}

/// Does what a batch does alone: it finds its folder, writes into cases of earlier batches, or is finished.
async fn prepare(delivery: &Delivery, job: &mut Job) -> Result<(), StoreError> {
    for part in &mut job.parts {
        may_panic("prepare", &part.batch.key);
        part.next = Some(if part.batch.is_decided() {
            finish_known(&delivery.context, &mut part.batch).await?
        } else if part.batch.folders.are_found() {
            advance(delivery, &mut part.batch, &mut job.feedback).await?
        } else {
            locate(delivery, &mut part.batch, &mut job.feedback).await?
        });
    }
    Ok(())
}

/// Does what batches do together: they are reconciled where an outcome is unknown, and then sent in one request.
async fn push_all(delivery: &Delivery, job: &mut Job) -> Result<(), StoreError> {
    let created = job.created_cases();
    look_up(delivery, job).await?;
    reconcile(delivery, job).await?;
    release_held(delivery, job, created).await?;
    if job.open().next().is_some() { push(delivery, job).await } else { Ok(()) }
}

/// Carries out what follows for each batch; where the store failed before that was decided, nothing follows.
async fn conclude(delivery: &Delivery, job: Job, failed: Option<StoreError>) -> (Dispositions, PushFeedback) {
    let Job { parts, feedback, .. } = job;
    // Batches that failed together are retried together: one reconciliation then serves all of them.
    let pause = pause_of(&delivery.context, &parts);
    // Side by side: for each the store may fail for long, and none waits for another.
    let disposing = parts
        .into_iter()
        .map(|part| within(Scope::of([part.batch.trace()]), dispose(delivery, part, pause, failed.as_ref())));
    (join_all(disposing).await, feedback)
}

async fn dispose(
    delivery: &Delivery,
    part: Part,
    pause: Duration,
    failed: Option<&StoreError>,
) -> (Box<ActiveBatch>, Disposition) {
    let Part { mut batch, next, .. } = part;
    let disposed = match (next, failed) {
        (Some(next), _) => {
            let key = batch.key.clone();
            let applying = apply_next_step(delivery, &mut batch, next, pause);
            unit(&delivery.context, Task::Dispatcher, &key, applying).await
        }
        (None, Some(error)) => Err(error.clone()),
        (None, None) => Ok(Disposition::Enqueue(QueuePosition::Front)),
    };
    let disposed = match disposed {
        Err(StoreError::Unreadable(row)) => {
            apply_next_step(delivery, &mut batch, NextStep::AwaitStore(row), pause).await
        }
        other => other,
    };
    match disposed {
        Ok(disposition) => {
            batch.store_failing_since = None;
            (batch, disposition)
        }
        Err(StoreError::Panicked(why) | StoreError::Data(why)) => hold_back(&delivery.context, batch, &why).await,
        Err(error) => store_failed(batch, &error),
    }
}
