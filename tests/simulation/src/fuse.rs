//! How does a worker die at any point of its path, or stand still there?
//!
//! Everything that a worker does to others, or learns from them, passes its fuse. Once that is blown, its calls are
//! not answered and have no effect any more, as if the process were gone; what had left it before goes on without it.

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
    /// After so many crossings it blows.
    crossings_left: Option<u32>,
    frozen_until: Option<Instant>,
}

impl Fuse {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { blown: CancellationToken::new(), state: Mutex::default() }))
    }

    /// Blows it: the process is gone.
    pub(crate) fn blow(&self) {
        self.0.blown.cancel();
    }

    pub(crate) fn is_blown(&self) -> bool {
        self.0.blown.is_cancelled()
    }

    /// Waits until it is blown.
    pub(crate) async fn blown(&self) {
        self.0.blown.cancelled().await;
    }

    /// Has it blow when the worker has called, or was answered, so many times more; `None` takes that back.
    pub(crate) fn blow_after(&self, crossings: Option<u32>) {
        lock(&self.0.state).crossings_left = crossings;
    }

    /// Has the process stand still until a time.
    pub(crate) fn freeze(&self, until: Instant) {
        lock(&self.0.state).frozen_until = Some(until);
    }

    /// Lets a call out, or an answer in: never of a process that is gone, and not while it stands still.
    pub(crate) async fn cross(&self) {
        self.cross_within(None).await;
    }

    /// The same, where the process does not stand still for longer than `longest`.
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

    /// Waits for something, for as long as the process lives.
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
