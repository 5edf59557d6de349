//! Builds messages from deliveries, and acknowledges them or gives them back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::amqp::{AckHandle, Message};
use crate::batch::raw_hash;
use crate::guard::{Task, guarded_now};
use crate::store::StoreError;
use crate::worker::context::WorkerContext;
use crate::worker::model::{InboundMessage, kept_headers};
use crate::worker::store_retry::STORE_PAUSE;
use crate::worker::unit::panicked;

/// Returns a delivered message; if a defect makes its headers unreadable, it goes on without them.
pub(super) fn message_of(context: &WorkerContext, task: Task, mut message: Message) -> InboundMessage {
    let (body, published_at) = (Arc::new(std::mem::take(&mut message.body)), message.timestamp_ms);
    let headers = guarded_now(|| kept_headers(message)).unwrap_or_else(|panic| {
        panicked(context, task, &format!("headers of message {}", raw_hash(&body)), panic);
        BTreeMap::new()
    });
    InboundMessage::fresh(body, headers, published_at, context.store.now())
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
