//! Empties the queues of messages that never become work onto the shelf.

use std::sync::Arc;

use super::settle::{acknowledge, end_held_back, give_back, message_of};
use crate::amqp::{AckHandle, Delivery, Event, Intake, Message, UnreadableHeaders};
use crate::batch::{Reason, hex};
use crate::guard::Task;
use crate::store::StoreError;
use crate::store::shelf::RAW_HEADERS;
use crate::worker::admission::reject::{Rejection, reject, reject_undeliverable};
use crate::worker::context::WorkerContext;
use crate::worker::store_retry::patiently;
use crate::worker::unit::unit;

/// A queue of messages that never become work: the task that empties it, and why messages come to it.
type Undeliverable = (Task, &'static str);
/// The queue of messages that the broker returned too often.
pub(in crate::worker) const GIVEN_UP: Undeliverable = (Task::DeadQueue, "the delivery limit was reached");
/// The queue of messages that fit no binding.
pub(in crate::worker) const UNROUTED: Undeliverable = (Task::UnroutedQueue, "no queue matches the routing key");

/// Empties a queue onto the shelf until the intake is stopped.
pub(in crate::worker) async fn take_undeliverable(
    context: Arc<WorkerContext>,
    mut intake: Intake,
    (task, why): Undeliverable,
) {
    while let Some(event) = intake.next().await {
        let Event::Delivery(delivery) = event else { continue };
        let Delivery { mut message, handle, .. } = *delivery;
        let mut detail = format!("{why}: published to exchange `{}` as `{}`", message.exchange, message.routing_key);
        let unreadable = message.unreadable.take();
        if let Some(unreadable) = &unreadable {
            detail = format!("{}; {detail}", unreadable.detail);
        }
        shelve(&context, task, message, unreadable, detail, handle).await;
    }
}

/// Shelves a message that never becomes work, and acknowledges it once it is stored.
pub(super) async fn shelve(
    context: &WorkerContext,
    task: Task,
    message: Message,
    unreadable: Option<UnreadableHeaders>,
    detail: String,
    handle: AckHandle,
) {
    let reason = if unreadable.is_some() { Reason::UnreadableHeaders } else { Reason::Undeliverable };
    let mut message = message_of(context, task, message);
    let raw = unreadable.map(|unreadable| (RAW_HEADERS.to_owned(), hex(&unreadable.bytes)));
    message.headers.extend(raw);
    let rejecting = patiently(|| reject_undeliverable(context, &message, reason, detail.clone()));
    match unit(context, task, &message, rejecting).await {
        Ok(()) => acknowledge(handle).await,
        Err(StoreError::Panicked(panic)) => {
            // Reading the message only to name its tenant is not worth another panic.
            let detail = format!("{detail}; a defect in the worker stopped the reading of the message: {panic}");
            let unread = || {
                let rejection = Rejection { reason, subject: None, faults: vec![], detail: detail.clone() };
                reject(context, &message, rejection)
            };
            let stored = unit(context, task, &message, patiently(unread)).await;
            end_held_back(handle, stored).await;
        }
        Err(error) => {
            tracing::warn!(%error, "the store failed; a message is returned to the queue");
            give_back(handle).await;
        }
    }
}
