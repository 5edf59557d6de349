//! Kills or freezes a worker at any point of its path.
//!
//! Everything that a worker sends to its neighbours, or receives from them, passes its fuse. Once the fuse is blown,
//! the worker's calls get no answer and have no effect, as if the process were gone; requests that had already left the
//! worker continue without it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::diary::lock;

/// The life of one worker process.
#[derive(Clone, Debug)]
pub(crate) struct Fuse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    blown: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of crossings after which the fuse blows.
    crossings_left: Option<u32>,
    frozen_until: Option<Instant>,
}

impl Fuse {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { blown: CancellationToken::new(), state: Mutex::default() }))
    }

    /// Blows the fuse: the process is gone.
    pub(crate) fn blow(&self) {
        self.0.blown.cancel();
    }

    pub(crate) fn is_blown(&self) -> bool {
        self.0.blown.is_cancelled()
    }

    /// Waits until the fuse is blown.
    pub(crate) async fn blown(&self) {
        self.0.blown.cancelled().await;
    }

    /// Blows the fuse after the given number of further calls and answers; `None` cancels this.
    pub(crate) fn blow_after(&self, crossings: Option<u32>) {
        lock(&self.0.state).crossings_left = crossings;
    }

    /// Freezes the process until a time.
    pub(crate) fn freeze(&self, until: Instant) {
        lock(&self.0.state).frozen_until = Some(until);
    }

    /// Lets a call out, or an answer in: never if the process is gone, and not while it is frozen.
    pub(crate) async fn cross(&self) {
        self.cross_within(None).await;
    }

    /// Does the same as [`Fuse::cross`], but a frozen process waits at most for `longest`.
    pub(crate) async fn cross_within(&self, longest: Option<Duration>) {
        if self.counts_down() {
            self.blow();
        }
        if self.is_blown() {
            return std::future::pending().await;
        }
        let frozen_until = lock(&self.0.state).frozen_until;
        if let Some(until) = frozen_until.filter(|until| *until > Instant::now()) {
            let bound = longest.map(|longest| Instant::now() + longest);
            sleep_until(bound.map_or(until, |bound| bound.min(until))).await;
            if self.is_blown() {
                std::future::pending().await
            }
        }
    }

    /// Waits for a future for as long as the process lives.
    pub(crate) async fn hold<T>(&self, what: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            () = self.blown() => std::future::pending().await,
            end = what => end,
        }
    }

    fn counts_down(&self) -> bool {
        let mut state = lock(&self.0.state);
        match &mut state.crossings_left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }
}
