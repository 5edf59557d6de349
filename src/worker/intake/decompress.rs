//! Replaces the body of a compressed message by its plain JSON, so that everything after it handles plain messages only.

use std::sync::Arc;

use crate::batch::message::encoding::{CONTENT_ENCODING, Encoded, Encoding};
use crate::batch::raw_hash;
use crate::guard::{Task, guarded_now};
use crate::offload::run_blocking_if_large;
use crate::worker::context::WorkerContext;
use crate::worker::model::InboundMessage;
use crate::worker::unit::panicked;

/// Returns a message with its body decompressed and without the header that names the encoding. A body that cannot be
/// decompressed stays as it was received, with the reason beside it.
pub(super) async fn decompressed(context: &WorkerContext, task: Task, mut message: InboundMessage) -> InboundMessage {
    let most = context.config.amqp.max_message_bytes;
    let Some(name) = message.headers.get(CONTENT_ENCODING).cloned() else { return message };
    let (encoding, body) = (Encoding::of(Some(&name)), Arc::clone(&message.body));
    if encoding == Encoding::Plain || body.len() > most {
        return message;
    }
    let bytes = encoding.most_decoded(body.len(), most);
    let _room = context.reading.enter(bytes).await;
    let decode = move || guarded_now(|| Encoding::of(Some(&name)).decode(&body, most));
    match run_blocking_if_large(bytes, decode).await {
        Ok(Ok(Some(plain))) => {
            message.body = Arc::new(plain);
            message.headers.remove(CONTENT_ENCODING);
        }
        Ok(Ok(None)) => {}
        Ok(Err(undecoded)) => message.undecoded = Some(undecoded),
        Err(panic) => {
            panicked(context, task, &format!("encoding of message {}", raw_hash(&message.body)), panic);
            message.undecoded = Some(Encoded::defect());
        }
    }
    message
}
