//! Holds the settings that a running worker takes over when its configuration is read again.

use tokio::sync::watch;

use crate::config::{Config, Retry};

/// The settings in force, of those that can change while a worker runs; all others are those of its start.
#[derive(Clone, Debug)]
pub(super) struct Live {
    configs: watch::Receiver<Config>,
}

impl Live {
    /// Follows a configuration that may be read again.
    pub(super) fn follow(configs: watch::Receiver<Config>) -> Self {
        Self { configs }
    }

    /// Returns the maximum number of concurrent requests to one account, from all workers together.
    pub(super) fn account_concurrency(&self) -> u32 {
        self.configs.borrow().requests.account_concurrency
    }

    /// Returns the maximum number of concurrent requests to one account, from this worker.
    pub(super) fn account_concurrency_per_worker(&self) -> usize {
        self.configs.borrow().requests.account_concurrency_per_worker
    }

    /// Returns when what has failed is tried again.
    pub(super) fn retry(&self) -> Retry {
        self.configs.borrow().retry
    }

    /// Returns the address of the broker, with the password.
    pub(super) fn broker_url(&self) -> String {
        self.configs.borrow().amqp.url.clone()
    }

    /// Waits until the configuration was read again; forever if nobody reads it again. Cancelling the wait loses nothing.
    pub(super) async fn changed(&mut self) {
        if self.configs.changed().await.is_err() {
            std::future::pending().await
        }
    }
}
