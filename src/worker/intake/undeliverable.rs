//! Empties the queues of messages that never become work onto the shelf.

use std::sync::Arc;

use super::settle::{acknowledge, end_held_back, give_back, message_of};
use crate::amqp::{AckHandle, Delivery, Event, Intake, Message, UnreadableHeaders};
use crate::batch::{Reason, hex};
use crate::guard::Task;
use crate::store::StoreError;
use crate::store::shelf::RAW_HEADERS;
use crate::worker::admission::quarantine::quarantine;
use crate::worker::admission::reject::{Rejection, reject, reject_undeliverable};
use crate::worker::context::WorkerContext;
use crate::worker::store_retry::patiently;
use crate::worker::turns::Turn;
use crate::worker::unit::unit;

/// What the broker gives as the reason where a message was delivered too often.
const DELIVERY_LIMIT: &str = "delivery_limit";

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
        let Some(turn) = context.turns.next().await else {
            give_back(handle).await;
            continue;
        };
        let may_be_work = task == Task::DeadQueue && message.first_death_reason.as_deref() == Some(DELIVERY_LIMIT);
        if may_be_work && unreadable.is_none() {
            try_alone(&context, task, message, handle).await;
        } else {
            shelve(&context, task, message, unreadable, detail, handle, &turn).await;
        }
    }
}

/// Sets a message apart that the broker returned too often: each stop of a worker counts for the broker, so this does not
/// show that anything is wrong with the message.
async fn try_alone(context: &WorkerContext, task: Task, message: Message, handle: AckHandle) {
    let message = message_of(context, task, message);
    let setting_apart = patiently(|| quarantine(context, &message, None));
    let stored = context.stop.unless_draining(unit(context, task, &message, setting_apart)).await;
    end_held_back(handle, stored.unwrap_or(Err(StoreError::Closed))).await;
}

/// Shelves a message that never becomes work, and acknowledges it once it is stored.
pub(super) async fn shelve(
    context: &WorkerContext,
    task: Task,
    message: Message,
    unreadable: Option<UnreadableHeaders>,
    detail: String,
    handle: AckHandle,
    turn: &Turn,
) {
    let reason = if unreadable.is_some() { Reason::UnreadableHeaders } else { Reason::Undeliverable };
    let mut message = message_of(context, task, message);
    let hash = context.turns.hash_of(&message.body).await;
    let raw = unreadable.map(|unreadable| (RAW_HEADERS.to_owned(), hex(&unreadable.bytes)));
    message.headers.extend(raw);
    let unread = |detail: String| {
        let rejection = Rejection { reason, subject: None, faults: vec![], detail };
        reject(context, &message, rejection)
    };
    let rejecting = async {
        if context.turns.suspects(hash.as_deref()) {
            let detail = format!("{detail}; not read, because the worker may have ended over it");
            patiently(|| unread(detail.clone())).await?;
            context.turns.settle(hash.as_deref()).await;
            return Ok(());
        }
        patiently(|| context.turns.take(turn, hash.as_deref())).await?;
        patiently(|| reject_undeliverable(context, &message, reason, detail.clone())).await
    };
    let rejected = unit(context, task, &message, rejecting);
    match context.stop.unless_draining(rejected).await.unwrap_or(Err(StoreError::Closed)) {
        Ok(()) => acknowledge(handle).await,
        Err(StoreError::Panicked(panic) | StoreError::Data(panic)) => {
            // Reading the message only to name its tenant is not worth another panic; what is shelved is its bytes.
            message.headers.retain(|name, _| name == RAW_HEADERS);
            let detail = format!("{detail}; a defect in the worker stopped the reading of the message: {panic}");
            let unread = || {
                let rejection = Rejection { reason, subject: None, faults: vec![], detail: detail.clone() };
                reject(context, &message, rejection)
            };
            let stored = context.stop.unless_draining(unit(context, task, &message, patiently(unread))).await;
            end_held_back(handle, stored.unwrap_or(Err(StoreError::Closed))).await;
        }
        Err(error) => {
            tracing::warn!(%error, "the store failed; a message is returned to the queue");
            give_back(handle).await;
        }
    }
}
