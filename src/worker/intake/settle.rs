//! Builds messages from deliveries, stores what becomes of them, and acknowledges them or gives them back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decompress::decompressed;
use crate::amqp::{AckHandle, Message};
use crate::batch::raw_hash;
use crate::guard::{Task, guarded_now};
use crate::store::StoreError;
use crate::worker::admission::quarantine::quarantine;
use crate::worker::context::WorkerContext;
use crate::worker::model::{InboundMessage, kept_headers, proof_of};
use crate::worker::store_retry::{STORE_PAUSE, patiently};
use crate::worker::unit::{panicked, unit};

/// Returns a delivered message, decompressed; if a defect makes its headers unreadable, it goes on without them.
pub(super) async fn message_of(context: &WorkerContext, task: Task, mut message: Message) -> InboundMessage {
    let (body, published_at) = (Arc::new(std::mem::take(&mut message.body)), message.timestamp_ms);
    let proof = proof_of(&context.config.amqp, &message);
    let mut headers = guarded_now(|| kept_headers(message)).unwrap_or_else(|panic| {
        panicked(context, task, &format!("headers of message {}", raw_hash(&body)), panic);
        BTreeMap::new()
    });
    headers.extend(proof);
    let mut message = InboundMessage::fresh(body, headers, published_at, context.store.now());
    message.begin_trace(&context.spans);
    decompressed(context, task, message).await
}

/// Stores a message and acknowledges it. If its processing panics, or the store refuses a value of it, it is set apart;
/// if the store fails, it goes back to the broker.
pub(super) async fn store(
    context: &WorkerContext,
    task: Task,
    message: &InboundMessage,
    handle: AckHandle,
    storing: impl Future<Output = Result<(), StoreError>>,
) {
    let stored = context.stop.unless_draining(unit(context, task, message, storing)).await;
    match stored.unwrap_or(Err(StoreError::Closed)) {
        Ok(()) => acknowledge(handle).await,
        Err(StoreError::Panicked(why) | StoreError::Data(why)) => {
            let setting_apart = patiently(|| quarantine(context, message, Some(&why)));
            let stored = context.stop.unless_draining(unit(context, task, message, setting_apart)).await;
            end_held_back(handle, stored.unwrap_or(Err(StoreError::Closed))).await;
        }
        Err(error) => {
            tracing::warn!(%error, "the store failed; a message is returned to the queue");
            give_back(handle).await;
        }
    }
}

/// Acknowledges a message that is on the shelf because its processing panicked. If even that failed, the message goes
/// back to the broker, after a pause so that it does not come back again and again at once.
pub(super) async fn end_held_back(handle: AckHandle, stored: Result<(), StoreError>) {
    match stored {
        Ok(()) => acknowledge(handle).await,
        Err(error) => {
            tracing::warn!(%error, "a message could not be shelved; it is returned to the queue");
            tokio::time::sleep(STORE_PAUSE).await;
            give_back(handle).await;
        }
    }
}

/// Acknowledges a message.
pub(super) async fn acknowledge(handle: AckHandle) {
    if let Err(error) = handle.ack().await {
        tracing::debug!(
            %error,
            "a shelved message could not be acknowledged; its redelivery will be recognized as a duplicate"
        );
    }
}

/// Gives a message back to the broker.
pub(super) async fn give_back(handle: AckHandle) {
    if let Err(error) = handle.give_back().await {
        tracing::debug!(%error, "a message could not be returned to the queue; the broker redelivers it");
    }
}
