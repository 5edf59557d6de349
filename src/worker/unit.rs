//! Runs one unit of a task's work so that its panic fails that unit alone.

use std::fmt::Display;

use futures_util::FutureExt;

use super::context::WorkerContext;
use crate::guard::{Panic, Task, guarded};
use crate::store::StoreError;
use crate::trace::{self, logged};

/// Runs a unit of work. A panic is counted, logged with the unit's name `what`, and returned as
/// [`StoreError::Panicked`].
pub(super) fn unit<T>(
    context: &WorkerContext,
    task: Task,
    what: &(dyn Display + Sync),
    work: impl Future<Output = Result<T, StoreError>>,
) -> impl Future<Output = Result<T, StoreError>> {
    guarded(work).map(move |end| end.unwrap_or_else(|panic| Err(panicked(context, task, what, panic))))
}

/// Counts and logs a panic that was caught.
pub(super) fn panicked(context: &WorkerContext, task: Task, what: &dyn Display, panic: Panic) -> StoreError {
    context.metrics.panics.with_label_values(&[task.name()]).inc();
    let trace_id = logged(trace::current().parent());
    tracing::error!(%task, unit = %what, trace_id, %panic, "a defect stopped a unit of work; the unit is held");
    panic.into()
}
