//! Takes batches from their queue and hands them to the dispatcher.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::settle::{acknowledge, give_back, message_of, store};
use super::undeliverable::shelve;
use super::window::{Read, Window};
use crate::amqp::{Delivery, Event, Intake};
use crate::guard::Task;
use crate::store::StoreError;
use crate::worker::admission::admit::{Admission, admit};
use crate::worker::admission::quarantine::quarantine;
use crate::worker::context::WorkerContext;
use crate::worker::dispatch::{AckTarget, DispatcherCommand};
use crate::worker::store_retry::patiently;
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
                    && window.meanwhile(commands.send(command)).await.is_err()
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
    let message = message_of(context, Task::Intake, message).await;
    let hash = context.turns.hash_of(&message.body).await;
    if context.turns.suspects(hash.as_deref()) {
        return Read::store(async move {
            let _turn = turn;
            let setting_apart = async {
                patiently(|| quarantine(context, &message, None)).await?;
                context.turns.settle(hash.as_deref()).await;
                Ok(())
            };
            store(context, Task::Intake, &message, handle, setting_apart).await;
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
            let _turn = turn;
            let shelving = patiently(|| unready.clone().shelve(context, &message));
            store(context, Task::Intake, &message, handle, shelving).await;
        }),
        Err(error) => Read::store(async move {
            let _turn = turn;
            store(context, Task::Intake, &message, handle, async { Err(error) }).await;
        }),
    }
}
