//! Holds what all requests to the console share.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::super::admin::shared::Shared;
use super::attempts::Attempts;
use super::proxy::Proxies;

/// How many pages are made at once: each takes memory, and more of them would only wait for each other at the store.
const AT_ONCE: usize = 3;
/// How many are made at once that read from Testmo.
const SLOW_AT_ONCE: usize = 2;
/// How many log-ins are checked at once: they come from anybody.
const LOG_INS_AT_ONCE: usize = 2;

/// What the console works with.
pub(super) struct Console {
    pub(super) shared: Arc<Shared>,
    /// Bounds how many pages are made at once.
    pub(super) permits: Arc<Semaphore>,
    /// Bounds how many pages read from Testmo at once.
    pub(super) slow: Arc<Semaphore>,
    /// Bounds how many requests without a session are carried out at once.
    pub(super) open: Arc<Semaphore>,
    /// Lets one message be read at a time.
    pub(super) large: Arc<Semaphore>,
    /// Who has failed to log in.
    pub(super) attempts: Attempts,
    /// Proxies that log people in.
    pub(super) proxies: Option<Proxies>,
}

impl Console {
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        Self {
            shared: shared.clone(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            slow: Arc::new(Semaphore::new(SLOW_AT_ONCE)),
            open: Arc::new(Semaphore::new(LOG_INS_AT_ONCE)),
            large: Arc::new(Semaphore::new(1)),
            attempts: Attempts::default(),
            proxies: Proxies::of(&shared.context.config.admin),
        }
    }
}
