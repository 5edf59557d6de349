//! Takes the limits of all lanes from the configuration in force.

use crate::lane::Limits;
use crate::worker::context::WorkerContext;

/// Returns the limits of a worker's lanes.
pub(super) fn limits(context: &WorkerContext) -> Limits {
    let (requests, worker) = (&context.config.requests, &context.config.worker);
    Limits {
        max_cases: requests.max_cases,
        max_bytes: requests.max_bytes,
        pack: requests.pack_batches,
        concurrency: context.live.account_concurrency_per_worker(),
        in_flight: requests.worker_concurrency,
        pausing: usize::from(context.config.amqp.prefetch / 2).max(1),
        memory: worker.max_queued_bytes,
    }
}
