//! Holds a message that waits for a channel, and decides whether its channel or its publisher may still take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use super::outgoing::Encoded;
use super::publish_error::PublishError;

/// One message on its way to a channel.
pub(super) struct Job {
    pub(super) message: Encoded,
    pub(super) claim: Claim,
    pub(super) reply: oneshot::Sender<Result<(), PublishError>>,
}

/// Decides whether a channel sends a waiting message or its publisher takes it back: the first to claim it has it. So
/// "not sent" is certain.
#[derive(Clone, Default)]
pub(super) struct Claim(Arc<AtomicBool>);

impl Claim {
    /// Takes the message; returns whether nobody had taken it before.
    pub(super) fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}
