//! Computes how long after the end of a create request its cases may still be created.

use std::time::Duration;

use crate::batch::verdict::answer::{ApiError, CreateResult};
use crate::worker::context::WorkerContext;

/// Returns how long after such an end a request may still create cases.
pub(super) fn settle_time(context: &WorkerContext, end: &CreateResult) -> Duration {
    let testmo = &context.config.testmo;
    end.as_ref().err().map_or(testmo.reconcile_delay_unanswered, |error| {
        error.settle_time(testmo.reconcile_delay_answered, testmo.reconcile_delay_unanswered)
    })
}

/// Returns for how long after such an end no other worker may go on with a batch. Where the request may still be at
/// work, that allows for a jump of the store's clock.
pub(super) fn lease_after(context: &WorkerContext, end: &CreateResult) -> Duration {
    let has_ended = end.as_ref().err().is_some_and(ApiError::has_ended);
    let margin = if has_ended { Duration::ZERO } else { context.config.testmo.claim_margin };
    settle_time(context, end) + margin
}
