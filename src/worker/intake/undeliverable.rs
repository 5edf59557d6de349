//! Empties the queues of messages that never become work onto the shelf.

use std::sync::Arc;
use std::time::Duration;

use super::settle::{acknowledge, end_held_back, give_back, message_of, store};
use crate::amqp::{AckHandle, Delivery, Event, Intake, Message, UnreadableHeaders};
use crate::batch::{Reason, hex};
use crate::guard::Task;
use crate::store::StoreError;
use crate::store::shelf::{RAW_HEADERS, ShelvedUntil};
use crate::worker::admission::admit::{Admission, admit};
use crate::worker::admission::quarantine::quarantine;
use crate::worker::admission::reject::{Rejection, reject, reject_undeliverable};
use crate::worker::context::WorkerContext;
use crate::worker::outcome::park::park;
use crate::worker::store_retry::patiently;
use crate::worker::turns::Turn;
use crate::worker::unit::unit;

/// What the broker gives as the reason where a message was delivered too often.
const DELIVERY_LIMIT: &str = "delivery_limit";
/// What the broker gives as the reason where nothing is wrong with a message: its time to live was over, or a policy limits
/// the length of the queue.
const TAKEN_OUT: [&str; 2] = ["expired", "maxlen"];

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
        if task == Task::UnroutedQueue {
            let amqp = &context.config.amqp;
            detail += &format!(
                "; batches go to `{}`, with a routing key that matches `{}`",
                amqp.cases_exchange, amqp.cases_binding_key
            );
        }
        let unreadable = message.unreadable.take();
        if let Some(unreadable) = &unreadable {
            detail = format!("{}; {detail}", unreadable.detail);
        }
        let Some(turn) = context.turns.next().await else {
            give_back(handle).await;
            continue;
        };
        let may_be_work = task == Task::DeadQueue && unreadable.is_none();
        match message.first_death_reason.as_deref().filter(|_| may_be_work) {
            Some(DELIVERY_LIMIT) => try_alone(&context, task, message, handle).await,
            Some(reason) if TAKEN_OUT.contains(&reason) => take_as_batch(&context, task, message, handle, &turn).await,
            Some(_) | None => shelve(&context, task, message, unreadable, detail, handle, &turn).await,
        }
    }
}

/// Sets a message apart that the broker returned too often: each stop of a worker counts for the broker, so this does not
/// show that anything is wrong with the message.
async fn try_alone(context: &WorkerContext, task: Task, message: Message, handle: AckHandle) {
    let message = message_of(context, task, message).await;
    let setting_apart = patiently(|| quarantine(context, &message, None));
    let stored = context.stop.unless_draining(unit(context, task, &message, setting_apart)).await;
    end_held_back(handle, stored.unwrap_or(Err(StoreError::Closed))).await;
}

/// Takes a message for the batch that it is: once it is on the shelf, due at once, it is sent like any other.
async fn take_as_batch(context: &WorkerContext, task: Task, message: Message, handle: AckHandle, turn: &Turn) {
    let message = message_of(context, task, message).await;
    let hash = context.turns.hash_of(&message.body).await;
    let shelving = async {
        if context.turns.suspects(hash.as_deref()) {
            patiently(|| quarantine(context, &message, None)).await?;
            context.turns.settle(hash.as_deref()).await;
            return Ok(());
        }
        patiently(|| context.turns.take(turn, hash.as_deref())).await?;
        match patiently(|| admit(context, &message)).await? {
            Admission::Ready(batch) => {
                park(context, &batch, Reason::NoRoom, None, ShelvedUntil::After(Duration::ZERO)).await
            }
            Admission::Finished => Ok(()),
            Admission::Shelve(unready) => patiently(|| unready.clone().shelve(context, &message)).await,
        }
    };
    store(context, task, &message, handle, shelving).await;
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
    let mut message = message_of(context, task, message).await;
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
