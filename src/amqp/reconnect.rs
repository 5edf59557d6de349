//! Decides when a lost connection is opened again.

use std::ops::ControlFlow;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::backoff::{Backoff, random};
use super::call::CallError;
use super::link::ConnectError;
use super::status::StatusBoard;
use crate::config::Amqp;

/// What ended a connection.
#[derive(Debug)]
pub(super) enum End {
    /// It was closed on request.
    Stopped,
    /// It could not be opened.
    NotOpened(ConnectError),
    /// It was lost, or can no longer be used.
    Failed(CallError),
}

/// Waits between one connection and the next, longer with each failure.
pub(super) struct Reconnect {
    backoff: Backoff,
    stop: CancellationToken,
}

impl Reconnect {
    pub(super) fn new(config: &Amqp, stop: CancellationToken) -> Self {
        let backoff = Backoff::new(config.reconnect_backoff_min, config.reconnect_backoff_max);
        Self { backoff, stop }
    }

    /// Updates the status and waits; breaks when no further connection is to be opened.
    pub(super) async fn after(&mut self, end: End, opened: Instant, board: &StatusBoard) -> ControlFlow<()> {
        if self.backoff.is_steady(opened.elapsed()) {
            self.backoff.reset();
        }
        let wait = match end {
            End::Stopped => return ControlFlow::Break(()),
            End::NotOpened(error) => {
                board.down(error.to_string(), Some(error.remedy()));
                match error.is_silence() {
                    true => self.backoff.after_silence(random()),
                    false => self.backoff.after_failure(random()),
                }
            }
            End::Failed(error) => {
                board.down(error.to_string(), error.remedy());
                self.backoff.after_failure(random())
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => ControlFlow::Break(()),
            () = tokio::time::sleep(wait) => ControlFlow::Continue(()),
        }
    }
}
