//! What do all connections share?

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::world::World;

/// The accounts, and what is needed to wait for them and to stop.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    world: Mutex<World>,
    /// Told about every request that arrives or ends.
    pub(crate) changed: Notify,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// The accounts; never held across an await. A panic elsewhere leaves them as they are.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
