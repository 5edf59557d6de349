//! Takes batches from their queue and hands them to the dispatcher.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::settle::{acknowledge, end_held_back, give_back, message_of};
use super::undeliverable::shelve;
use super::window::{Read, Window};
use crate::amqp::{AckHandle, Delivery, Event, Intake};
use crate::guard::Task;
use crate::store::StoreError;
use crate::worker::admission::admit::{Admission, admit};
use crate::worker::admission::quarantine::quarantine;
use crate::worker::context::WorkerContext;
use crate::worker::dispatch::{AckTarget, DispatcherCommand};
use crate::worker::model::InboundMessage;
use crate::worker::store_retry::patiently;
use crate::worker::turns::Turn;
use crate::worker::unit::unit;

/// Takes batches from the queue until the intake is stopped.
pub(in crate::worker) async fn take_batches(
    context: Arc<WorkerContext>,
    mut intake: Intake,
    commands: mpsc::Sender<DispatcherCommand>,
) {
    let (mut window, mut is_open) = (Window::default(), true);
    loop {
        tokio::select! {
            biased;
            Some(next) = window.next() => {
                if let Some(command) = next
                    && commands.send(command).await.is_err()
                {
                    return;
                }
            }
            event = intake.next(), if is_open && window.has_room() => match event {
                Some(event) => window.add(read(&context, event)),
                None => is_open = false,
            },
            else => return,
        }
    }
}

async fn read(context: &WorkerContext, event: Event) -> Read<'_> {
    match event {
        Event::Lost(generation) => Read::Command(DispatcherCommand::Lost(generation)),
        Event::Delivery(delivery) => read_delivery(context, *delivery).await,
    }
}

async fn read_delivery(context: &WorkerContext, delivery: Delivery) -> Read<'_> {
    let Delivery { mut message, handle, generation, .. } = delivery;
    let Some(turn) = context.turns.next().await else {
        give_back(handle).await;
        return Read::Nothing;
    };
    if let Some(unreadable) = message.unreadable.take() {
        let detail = unreadable.detail.clone();
        return Read::store(async move {
            shelve(context, Task::Intake, message, Some(unreadable), detail, handle, &turn).await;
        });
    }
    let message = message_of(context, Task::Intake, message);
    let hash = context.turns.hash_of(&message.body).await;
    if context.turns.suspects(hash.as_deref()) {
        return Read::store(async move {
            let setting_apart = async {
                patiently(|| quarantine(context, &message, None)).await?;
                context.turns.settle(hash.as_deref()).await;
                Ok(())
            };
            store(context, &message, handle, turn, setting_apart).await;
        });
    }
    let admitting = async {
        patiently(|| context.turns.take(&turn, hash.as_deref())).await?;
        patiently(|| admit(context, &message)).await
    };
    let admitted = unit(context, Task::Intake, &message, admitting);
    match context.stop.unless_draining(admitted).await.unwrap_or(Err(StoreError::Closed)) {
        Ok(Admission::Ready(batch)) => {
            let target = AckTarget::Delivery { handle, generation, turn };
            Read::Command(DispatcherCommand::Work(batch, Box::new(target)))
        }
        Ok(Admission::Finished) => Read::store(async move {
            acknowledge(handle).await;
            drop(turn);
        }),
        Ok(Admission::Shelve(unready)) => Read::store(async move {
            let shelving = patiently(|| unready.clone().shelve(context, &message));
            store(context, &message, handle, turn, shelving).await;
        }),
        Err(error) => Read::store(async move { store(context, &message, handle, turn, async { Err(error) }).await }),
    }
}

/// Stores a message and acknowledges it. If its processing panics, or the store refuses a value of it, it is set apart;
/// if the store fails, it goes back to the broker. The turn ends afterwards.
async fn store(
    context: &WorkerContext,
    message: &InboundMessage,
    handle: AckHandle,
    _turn: Turn,
    storing: impl Future<Output = Result<(), StoreError>>,
) {
    let stored = context.stop.unless_draining(unit(context, Task::Intake, message, storing)).await;
    match stored.unwrap_or(Err(StoreError::Closed)) {
        Ok(()) => acknowledge(handle).await,
        Err(StoreError::Panicked(why) | StoreError::Data(why)) => {
            let setting_apart = patiently(|| quarantine(context, message, Some(&why)));
            let stored = context.stop.unless_draining(unit(context, Task::Intake, message, setting_apart)).await;
            end_held_back(handle, stored.unwrap_or(Err(StoreError::Closed))).await;
        }
        Err(error) => {
            tracing::warn!(%error, "the store failed; a message is returned to the queue");
            give_back(handle).await;
        }
    }
}
