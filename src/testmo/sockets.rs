//! Bounds how many sockets to Testmo are open at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The sockets that may be open at once.
#[derive(Clone, Debug)]
pub(super) struct Sockets {
    free: Arc<Semaphore>,
    wanted: Arc<AtomicUsize>,
}

/// The right to have a socket open, until its last copy is dropped.
pub(super) type Slot = Arc<OwnedSemaphorePermit>;

/// Shows that somebody waits for a socket.
#[derive(Debug)]
pub(super) struct Wanted<'a>(&'a Sockets);

impl Sockets {
    pub(super) fn new(most: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))), wanted: Arc::default() }
    }

    /// Returns a slot if one is free and nobody waits for it.
    pub(super) fn spare(&self) -> Option<Slot> {
        self.free.clone().try_acquire_owned().ok().map(Arc::new)
    }

    /// Notes that a slot is waited for, so that no connection becomes idle meanwhile.
    pub(super) fn want(&self) -> Wanted<'_> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        Wanted(self)
    }

    /// Returns whether a slot is waited for.
    pub(super) fn are_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0
    }
}

impl Wanted<'_> {
    /// Waits for the next slot that becomes free, in the order of those who wait.
    pub(super) async fn slot(&self) -> Option<Slot> {
        self.0.free.clone().acquire_owned().await.ok().map(Arc::new)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.wanted.fetch_sub(1, Ordering::Relaxed);
    }
}
