//! Holds a service that runs beside a worker, of which the worker knows only that it must not end.

use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use crate::guard::Task;
use crate::metrics::{Metrics, TENANT_FILE_STATES};

/// A service that runs.
pub(super) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service that is started once the worker has its store, and stopped when the work is over.
pub struct Service {
    pub(super) task: Task,
    pub(super) files: u32,
    start: Box<dyn FnOnce(CancellationToken, Gauges) -> Running + Send>,
}

/// The worker's gauges that services set.
#[derive(Clone)]
pub struct Gauges(Metrics);

impl Service {
    /// Describes the service of the API, which has up to `files` files open, and runs until its token is cancelled.
    pub fn api<F: Future<Output = ()> + Send + 'static>(
        files: u32,
        start: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> Self {
        Self { task: Task::Api, files, start: Box::new(|stop, _| Box::pin(start(stop))) }
    }

    /// Describes the service that takes over the files of tenants, likewise.
    pub fn tenant_files<F: Future<Output = ()> + Send + 'static>(
        files: u32,
        start: impl FnOnce(CancellationToken, Gauges) -> F + Send + 'static,
    ) -> Self {
        Self { task: Task::TenantFiles, files, start: Box::new(|stop, gauges| Box::pin(start(stop, gauges))) }
    }

    pub(super) fn start(self, stop: CancellationToken, gauges: Gauges) -> Running {
        (self.start)(stop, gauges)
    }
}

impl Gauges {
    pub(super) fn of(metrics: &Metrics) -> Self {
        Self(metrics.clone())
    }

    /// Shows how many files of tenants are in use, how many are broken, and how many are missing whose connections stay.
    pub fn show_tenant_files(&self, counts: [usize; 3]) {
        for (state, count) in TENANT_FILE_STATES.iter().zip(counts) {
            self.0.tenant_files.with_label_values(&[*state]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}
