//! Holds a service that runs beside a worker, of which the worker knows only that it must not end.

use std::pin::Pin;

use tokio_util::sync::CancellationToken;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service that is started once the worker has its store, and stopped when the work is over.
pub struct Service {
    pub(super) files: u32,
    start: Box<dyn FnOnce(CancellationToken) -> Running + Send>,
}

impl Service {
    /// Describes a service that has up to `files` files open, and runs until its token is cancelled.
    pub fn new<F: Future<Output = ()> + Send + 'static>(
        files: u32,
        start: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self {
        Self { files, start: Box::new(|stop| Box::pin(start(stop))) }
    }

    pub(super) fn start(self, stop: CancellationToken) -> Running {
        (self.start)(stop)
    }
}
