//! Takes due batches for which there is room from the shelf, and passes on what people have set for lanes.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

use crate::batch::Reason;
use crate::guard::Task;
use crate::store::StoreError;
use crate::store::shelf::{ShelfIdentity, Shelved};
use crate::worker::admission::admit::admit;
use crate::worker::admission::quarantine::quarantine;
use crate::worker::admission::reject::{Rejection, reject};
use crate::worker::context::WorkerContext;
use crate::worker::dispatch::{AckTarget, DispatcherCommand};
use crate::worker::model::{ActiveBatch, InboundMessage};
use crate::worker::turns::Turn;
use crate::worker::unit::unit;

/// The maximum number of batches that are leased at once.
const MOST_LEASED: u32 = 500;
/// The most tenants whose batches are leased at once: those that have waited longest.
const MOST_TENANTS: u32 = 1_000;
/// How often a message may stop a worker while it is tried apart from others.
const MOST_CRASHES_ALONE: u32 = 3;

/// Takes due batches, suspects, and what people have set for lanes, until the worker drains. None of them waits for
/// another: a backlog may take hours to drain.
pub(in crate::worker) async fn take_from_shelf(context: Arc<WorkerContext>, commands: mpsc::Sender<DispatcherCommand>) {
    let overrides = at_each_poll(&context, "operators' overrides", || async {
        // Not in the other loops: they may wait for a turn.
        context.turns.refresh().await;
        read_overrides(&context, &commands).await
    });
    let suspects = at_each_poll(&context, "a suspect", || take_suspect(&context, &commands));
    tokio::join!(overrides, suspects, take_all_due(&context, &commands));
}

fn polls(context: &WorkerContext) -> Interval {
    let mut poll = tokio::time::interval(context.config.shelf.poll_interval);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    poll
}

/// Repeats work at the poll interval.
async fn at_each_poll<W: Future<Output = Result<(), StoreError>>>(
    context: &WorkerContext,
    what: &'static str,
    work: impl Fn() -> W,
) {
    let (stop, mut poll) = (context.stop.draining(), polls(context));
    while stop.run_until_cancelled(poll.tick()).await.is_some() {
        if let Err(error) = unit(context, Task::Shelf, &what, work()).await {
            tracing::warn!(%error, what, "the shelf cannot be read");
        }
    }
}

async fn take_all_due(context: &WorkerContext, commands: &mpsc::Sender<DispatcherCommand>) {
    let (stop, mut poll) = (context.stop.draining(), polls(context));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = poll.tick() => {}
            () = context.shelf_wanted.notified() => {}
        }
        while !stop.is_cancelled() {
            match unit(context, Task::Shelf, &"due batches", take_due(context, commands)).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the shelf cannot be read");
                    break;
                }
            }
        }
    }
}

async fn read_overrides(context: &WorkerContext, commands: &mpsc::Sender<DispatcherCommand>) -> Result<(), StoreError> {
    let overrides = context.store.lane_overrides().await?;
    // The dispatcher is gone only when the worker stops.
    drop(commands.send(DispatcherCommand::Override(overrides)).await);
    Ok(())
}

async fn take_suspect(context: &WorkerContext, commands: &mpsc::Sender<DispatcherCommand>) -> Result<(), StoreError> {
    let Some(turn) = context.turns.next().await else { return Ok(()) };
    if let Some(suspect) = context.store.lease_suspect(&context.holder, context.config.shelf.lease_duration).await? {
        take_leased(context, suspect, turn, commands).await;
    }
    Ok(())
}

/// Takes due batches for which there is room; returns their number.
async fn take_due(context: &WorkerContext, commands: &mpsc::Sender<DispatcherCommand>) -> Result<usize, StoreError> {
    let Some(turn) = context.turns.next().await else { return Ok(0) };
    let due = context.store.due_tenants(MOST_TENANTS).await?;
    let (answer, room) = oneshot::channel();
    // The dispatcher is gone only when the worker stops.
    drop(commands.send(DispatcherCommand::RoomFor(due, answer)).await);
    let Ok(mut asks) = room.await else { return Ok(0) };
    let mut left = if context.turns.is_one_by_one() { 1 } else { MOST_LEASED };
    asks.retain_mut(|(_, most)| {
        *most = (*most).min(left);
        left -= *most;
        *most > 0
    });
    if asks.is_empty() {
        return Ok(0);
    }
    let leased = context.store.lease_due(&context.holder, context.config.shelf.lease_duration, &asks).await?;
    let count = leased.len();
    // With a remembered resolution of not ready, the batches would go back to the shelf at once, again and again.
    asks.iter().for_each(|(tenant, _)| context.tenants.forget_unready(tenant));
    let mut turn = Some(turn);
    let mut leased = leased.into_iter();
    for shelved in leased.by_ref() {
        let row = (shelved.id, shelved.generation);
        // Only without turns are there several.
        take_leased(context, shelved, turn.take().unwrap_or_default(), commands).await;
        if context.stop.draining().is_cancelled() {
            // Otherwise nobody could take the rows before their leases end.
            let rest: Vec<_> = std::iter::once(row).chain(leased.map(|row| (row.id, row.generation))).collect();
            context.store.release(&rest).await?;
            break;
        }
    }
    Ok(count)
}

/// Admits a leased batch, or marks it dead if it has stopped workers too often.
async fn take_leased(
    context: &WorkerContext,
    shelved: Shelved,
    turn: Turn,
    commands: &mpsc::Sender<DispatcherCommand>,
) {
    let (id, generation) = (shelved.id, shelved.generation);
    let what = format!("shelf row {id}");
    let panic = shelved.content.detail.clone();
    let message = message_of(context, shelved);
    if message.tried_apart > MOST_CRASHES_ALONE {
        let detail = match panic {
            Some(panic) => format!("tried alone {MOST_CRASHES_ALONE} times: {panic}"),
            None => format!("tried alone {MOST_CRASHES_ALONE} times"),
        };
        let rejection = Rejection { reason: Reason::CrashLoop, subject: None, faults: vec![], detail };
        let giving_up = reject(context, &message, rejection);
        if let Err(error) = unit(context, Task::Shelf, &what, giving_up).await {
            tracing::warn!(%error, %id, "a suspect could not be marked dead; its lease expires");
        }
        return;
    }
    match unit(context, Task::Shelf, &what, admit_or_quarantine(context, &message, &turn)).await {
        Ok(Some(batch)) => {
            let target = AckTarget::Lease { id, generation, turn };
            // The dispatcher is gone only when the worker stops; the lease then runs out.
            drop(commands.send(DispatcherCommand::Work(batch, Box::new(target))).await);
        }
        Ok(None) => {}
        Err(StoreError::Panicked(why) | StoreError::Data(why)) => {
            let setting_apart = quarantine(context, &message, Some(&why));
            if let Err(error) = unit(context, Task::Shelf, &what, setting_apart).await {
                tracing::warn!(%error, %id, "a shelved batch could not be returned to the shelf; its lease expires");
            }
        }
        Err(error) => tracing::warn!(%error, %id, "a shelved batch could not be taken; its lease expires"),
    }
}

/// Admits the message of a row, or sets it apart if a worker may have ended over it.
async fn admit_or_quarantine(
    context: &WorkerContext,
    message: &InboundMessage,
    turn: &Turn,
) -> Result<Option<Box<ActiveBatch>>, StoreError> {
    // The tries of a suspect are counted on the shelf.
    let hash = if message.suspect { None } else { context.turns.hash_of(&message.body) };
    if context.turns.suspects(hash.as_deref()) {
        quarantine(context, message, None).await?;
        context.turns.settle(hash.as_deref()).await;
        return Ok(None);
    }
    context.turns.take(turn, hash.as_deref()).await?;
    admit(context, message.clone()).await
}

/// Returns the message of a leased row.
fn message_of(context: &WorkerContext, shelved: Shelved) -> InboundMessage {
    let content = shelved.content;
    let suspect = content.reason == Reason::Suspect;
    let mut message = InboundMessage {
        body: Arc::new(content.body),
        headers: content.headers,
        published_at: content.published_at,
        arrived_at: content.arrived_at,
        parks: if suspect { 0 } else { content.parks },
        tried_apart: if suspect { content.parks } else { 0 },
        failing_since: content.failing_since,
        lease: Some((shelved.id, shelved.generation)),
        suspect,
        nameless: matches!(content.identity, ShelfIdentity::Raw(..)),
        again: !matches!(content.reason, Reason::NoRoom | Reason::Throttled | Reason::Paused),
    };
    // Time in which nothing was tried does not count as failing. A batch that waits for a connection is due at once;
    // one that waited longer than it had to, waited for a worker. What a person has paused, a folder that Testmo does
    // not show, and a row that cannot be read waited for a person.
    let waited = matches!(content.reason, Reason::Paused | Reason::FolderUnconfirmed | Reason::StoreRowUnreadable);
    let since = if waited { shelved.shelved_at } else { shelved.due_at };
    message.rested(context.store.now() - since);
    message
}
