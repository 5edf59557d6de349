//! Repeats a piece of work at an interval, until the worker stops.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// An interval that ends when the worker stops. The first time is due at once.
pub(super) struct Every {
    due: Interval,
    stop: CancellationToken,
}

impl Every {
    pub(super) fn new(period: Duration, stop: CancellationToken) -> Self {
        let mut due = tokio::time::interval(period);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { due, stop }
    }

    /// Waits until the next time is due; returns `false` when the worker stops.
    pub(super) async fn is_due(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            _ = self.due.tick() => true,
        }
    }

    /// Does a piece of work; `None` if the worker stops before it is done.
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            done = work => Some(done),
        }
    }
}
