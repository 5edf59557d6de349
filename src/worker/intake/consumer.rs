//! Takes batches from their queue and hands them to the dispatcher.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::settle::{acknowledge, end_held_back, give_back, message_of};
use super::undeliverable::shelve;
use crate::amqp::{Delivery, Event, Intake};
use crate::guard::Task;
use crate::store::StoreError;
use crate::worker::admission::admit::admit;
use crate::worker::admission::quarantine::quarantine;
use crate::worker::context::WorkerContext;
use crate::worker::dispatch::{AckTarget, DispatcherCommand};
use crate::worker::model::{ActiveBatch, InboundMessage};
use crate::worker::store_retry::patiently;
use crate::worker::turns::Turn;
use crate::worker::unit::unit;

/// Takes batches from the queue until the intake is stopped.
pub(in crate::worker) async fn take_batches(
    context: Arc<WorkerContext>,
    mut intake: Intake,
    commands: mpsc::Sender<DispatcherCommand>,
) {
    while let Some(event) = intake.next().await {
        let command = match event {
            Event::Lost(generation) => Some(DispatcherCommand::Lost(generation)),
            Event::Delivery(delivery) => take(&context, *delivery).await,
        };
        if let Some(command) = command
            && commands.send(command).await.is_err()
        {
            return;
        }
    }
}

/// Takes one delivery; returns the work that it is, or `None` if it has been acknowledged or given back.
async fn take(context: &WorkerContext, delivery: Delivery) -> Option<DispatcherCommand> {
    let Delivery { mut message, handle, generation, .. } = delivery;
    let Some(turn) = context.turns.next().await else {
        give_back(handle).await;
        return None;
    };
    if let Some(unreadable) = message.unreadable.take() {
        let detail = unreadable.detail.clone();
        shelve(context, Task::Intake, message, Some(unreadable), detail, handle, &turn).await;
        return None;
    }
    let hash = context.turns.hash_of(&message.body);
    let message = message_of(context, Task::Intake, message);
    let admitting = admit_or_quarantine(context, &message, &turn, hash.as_deref());
    let admitted = unit(context, Task::Intake, &message, admitting);
    match context.stop.unless_draining(admitted).await.unwrap_or(Err(StoreError::Closed)) {
        Ok(Some(batch)) => {
            let target = AckTarget::Delivery { handle, generation, turn };
            return Some(DispatcherCommand::Work(batch, Box::new(target)));
        }
        Ok(None) => acknowledge(handle).await,
        Err(StoreError::Panicked(why) | StoreError::Data(why)) => {
            let setting_apart = patiently(|| quarantine(context, &message, Some(&why)));
            let stored = context.stop.unless_draining(unit(context, Task::Intake, &message, setting_apart)).await;
            end_held_back(handle, stored.unwrap_or(Err(StoreError::Closed))).await;
        }
        Err(error) => {
            tracing::warn!(%error, "the store failed; a message is returned to the queue");
            give_back(handle).await;
        }
    }
    None
}

/// Admits a message, or sets it apart if a worker may have ended over it.
async fn admit_or_quarantine(
    context: &WorkerContext,
    message: &InboundMessage,
    turn: &Turn,
    hash: Option<&str>,
) -> Result<Option<Box<ActiveBatch>>, StoreError> {
    if context.turns.suspects(hash) {
        patiently(|| quarantine(context, message, None)).await?;
        context.turns.settle(hash).await;
        return Ok(None);
    }
    patiently(|| context.turns.take(turn, hash)).await?;
    patiently(|| admit(context, message.clone())).await
}
