//! Holds the state that all connections share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::world::World;

/// The accounts, and the means to wait for them and to stop.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    world: Mutex<World>,
    /// Notified of every request that arrives or ends.
    pub(crate) changed: Notify,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// Locks the accounts; the lock is never held across an await. A panic elsewhere leaves the accounts unchanged.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
