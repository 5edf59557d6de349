//! Takes due batches for which there is room from the shelf, and passes on what people have set for lanes.

use std::sync::Arc;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::decompress::decompressed;
use super::window::{Read, Window};
use crate::batch::Reason;
use crate::guard::Task;
use crate::store::StoreError;
use crate::store::shelf::{ShelfId, ShelfIdentity, Shelved};
use crate::worker::admission::admit::{Admission, admit};
use crate::worker::admission::quarantine::quarantine;
use crate::worker::admission::reject::{Rejection, reject};
use crate::worker::context::WorkerContext;
use crate::worker::dispatch::{AckTarget, DispatcherCommand};
use crate::worker::model::{InboundMessage, REST, WaitedFor};
use crate::worker::turns::Turn;
use crate::worker::unit::unit;

/// The maximum number of batches that are leased at once.
const MOST_LEASED: u32 = 500;
/// The bodies of what is leased at once may take this part of the memory.
const PART: usize = 4;
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
    let suspects = at_each_poll(&context, "suspects", || take_suspects(&context, &commands));
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
                Ok(true) => {}
                Ok(false) => break,
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

/// Takes suspects, one after the other, until one of them is in hand: most are done at once.
async fn take_suspects(context: &WorkerContext, commands: &mpsc::Sender<DispatcherCommand>) -> Result<(), StoreError> {
    let lease = context.config.shelf.lease_duration;
    while !context.stop.draining().is_cancelled() {
        let Some(turn) = context.turns.next().await else { return Ok(()) };
        let Some(suspect) = context.store.lease_suspect(&context.holder, lease).await? else { return Ok(()) };
        take_leased(context, vec![suspect], turn, commands).await?;
    }
    Ok(())
}

/// Takes due batches for which there is room; returns whether there may be more of them.
async fn take_due(context: &WorkerContext, commands: &mpsc::Sender<DispatcherCommand>) -> Result<bool, StoreError> {
    let Some(turn) = context.turns.next().await else { return Ok(false) };
    let due = context.store.due_tenants(MOST_TENANTS).await?;
    let (answer, room) = oneshot::channel();
    // The dispatcher is gone only when the worker stops.
    drop(commands.send(DispatcherCommand::RoomFor(due, answer)).await);
    let Ok(mut asks) = room.await else { return Ok(false) };
    let mut left = if context.turns.is_one_by_one() { 1 } else { MOST_LEASED };
    asks.retain_mut(|(_, most)| {
        *most = (*most).min(left);
        left -= *most;
        *most > 0
    });
    if asks.is_empty() {
        return Ok(false);
    }
    let most_bytes = context.config.worker.max_queued_bytes / PART;
    let lease = context.config.shelf.lease_duration;
    let leased = context.store.lease_due(&context.holder, lease, &asks, most_bytes).await?;
    let bytes: usize = leased.iter().map(|row| row.content.body.len()).sum();
    // Otherwise every tenant got what it has due, or what it has room for.
    let is_more = !leased.is_empty() && (left == 0 || bytes >= most_bytes);
    // With a remembered resolution of not ready, the batches would go back to the shelf at once, again and again.
    asks.iter().for_each(|(tenant, _)| context.tenants.forget_unready(tenant));
    take_leased(context, leased, turn, commands).await?;
    Ok(is_more)
}

/// Takes leased rows until the worker drains, and releases those that it does not take: otherwise nobody could take them
/// before their leases end.
async fn take_leased(
    context: &WorkerContext,
    leased: Vec<Shelved>,
    turn: Turn,
    commands: &mpsc::Sender<DispatcherCommand>,
) -> Result<(), StoreError> {
    // Only without turns are there several rows.
    let (mut window, mut turn, mut leased) = (Window::default(), Some(turn), leased.into_iter());
    let mut not_taken = Vec::new();
    loop {
        while window.has_room()
            && !context.stop.draining().is_cancelled()
            && let Some(shelved) = leased.next()
        {
            window.add(read_leased(context, shelved, turn.take().unwrap_or_default()));
        }
        match window.next().await {
            Some(Some(command)) => {
                // The dispatcher is gone only when the worker stops.
                if let Err(SendError(DispatcherCommand::Work(_, target))) =
                    window.meanwhile(commands.send(command)).await
                    && let AckTarget::Lease { id, generation, .. } = *target
                {
                    not_taken.push((id, generation));
                }
            }
            Some(None) => {}
            None => break,
        }
    }
    not_taken.extend(leased.map(|row| (row.id, row.generation)));
    if not_taken.is_empty() { Ok(()) } else { context.store.release(&not_taken).await }
}

/// Reads a leased message, or marks it dead if it has stopped workers too often.
async fn read_leased(context: &WorkerContext, shelved: Shelved, turn: Turn) -> Read<'_> {
    let (id, generation) = (shelved.id, shelved.generation);
    let panic = shelved.content.detail.clone();
    let message = decompressed(context, Task::Shelf, message_of(context, shelved)).await;
    if message.tried_apart > MOST_CRASHES_ALONE {
        let detail = match panic {
            Some(panic) => format!("tried alone {MOST_CRASHES_ALONE} times: {panic}"),
            None => format!("tried alone {MOST_CRASHES_ALONE} times"),
        };
        return Read::store(async move {
            let rejection = Rejection { reason: Reason::CrashLoop, subject: None, faults: vec![], detail };
            let giving_up = reject(context, &message, rejection);
            if let Err(error) = unit(context, Task::Shelf, &row_name(id), giving_up).await {
                tracing::warn!(%error, %id, "a suspect could not be marked dead; its lease expires");
            }
            drop(turn);
        });
    }
    // The tries of a suspect are counted on the shelf.
    let hash = if message.suspect { None } else { context.turns.hash_of(&message.body).await };
    if context.turns.suspects(hash.as_deref()) {
        return Read::store(async move {
            let setting_apart = async {
                quarantine(context, &message, None).await?;
                context.turns.settle(hash.as_deref()).await;
                Ok(())
            };
            store(context, id, &message, turn, setting_apart).await;
        });
    }
    let admitting = async {
        context.turns.take(&turn, hash.as_deref()).await?;
        admit(context, &message).await
    };
    match unit(context, Task::Shelf, &row_name(id), admitting).await {
        Ok(Admission::Ready(batch)) if message.suspect && context.slow_trials.has(batch.account(), Instant::now()) => {
            Read::store(async move {
                let postponing = context.store.postpone_row(id, generation, REST);
                store(context, id, &message, turn, postponing).await;
            })
        }
        Ok(Admission::Ready(batch)) => {
            let target = AckTarget::Lease { id, generation, turn };
            Read::Command(DispatcherCommand::Work(batch, Box::new(target)))
        }
        Ok(Admission::Finished) => Read::Nothing,
        Ok(Admission::Shelve(unready)) => Read::store(async move {
            store(context, id, &message, turn, unready.shelve(context, &message)).await;
        }),
        Err(error) => Read::store(async move { store(context, id, &message, turn, async { Err(error) }).await }),
    }
}

/// Stores what becomes of a leased message that is not worked on now. If its processing panics, or the store refuses a
/// value of it, it is set apart. The turn ends afterwards.
async fn store(
    context: &WorkerContext,
    id: ShelfId,
    message: &InboundMessage,
    _turn: Turn,
    storing: impl Future<Output = Result<(), StoreError>>,
) {
    match unit(context, Task::Shelf, &row_name(id), storing).await {
        Ok(()) => {}
        Err(StoreError::Panicked(why) | StoreError::Data(why)) => {
            let setting_apart = quarantine(context, message, Some(&why));
            if let Err(error) = unit(context, Task::Shelf, &row_name(id), setting_apart).await {
                tracing::warn!(%error, %id, "a shelved batch could not be returned to the shelf; its lease expires");
            }
        }
        Err(error) => tracing::warn!(%error, %id, "a shelved batch could not be taken; its lease expires"),
    }
}

fn row_name(id: ShelfId) -> String {
    format!("shelf row {id}")
}

/// Returns the message of a leased row.
fn message_of(context: &WorkerContext, shelved: Shelved) -> InboundMessage {
    let content = shelved.content;
    let suspect = content.reason == Reason::Suspect;
    let blamed = content.blamed_connection().map(|version| (shelved.shelved_at, version.to_owned()));
    let mut message = InboundMessage {
        body: content.body,
        undecoded: None,
        headers: content.headers,
        published_at: content.published_at,
        arrived_at: content.arrived_at,
        parks: if suspect { 0 } else { content.parks },
        tried_apart: if suspect { content.parks } else { 0 },
        failing_since: content.failing_since,
        lease: Some((shelved.id, shelved.generation)),
        suspect,
        blamed,
        nameless: matches!(content.identity, ShelfIdentity::Raw(..)),
        again: !matches!(content.reason, Reason::NoRoom | Reason::Throttled | Reason::Paused),
        replay: shelved.replay,
        shelved_for: Some(content.reason),
        waited_for: shelved.replay.map(|_| WaitedFor::Person).or(WaitedFor::of(content.reason)),
    };
    // Time in which nothing was tried does not count as failing, unless its account failed. A batch that waits for a connection is due at once;
    // one that waited longer than it had to, waited for a worker. What a person has paused, a folder that Testmo does
    // not show, and a row that cannot be read waited for a person.
    let waited = matches!(content.reason, Reason::Paused | Reason::FolderUnconfirmed | Reason::StoreRowUnreadable);
    let since = if waited { shelved.shelved_at } else { shelved.due_at };
    let now = context.store.now();
    let failing = content.account.as_deref().filter(|_| !waited);
    let failing = failing.map_or(0, |account| context.troubles.failing_within(account, since, now));
    message.rested(now - since - failing);
    message.begin_trace(&context.spans);
    message
}
