//! Reports cases that Testmo's answer shows otherwise than they were sent.

use std::collections::BTreeSet;

use crate::batch::verdict::answer::ResponseDifference;
use crate::trace::{self, logged};
use crate::worker::context::WorkerContext;

/// Counts the differences of one answer, and logs them on one line; `name` returns the batch and the key of a case by
/// its position in the request.
pub(super) fn report_differences(
    context: &WorkerContext,
    differing: &[ResponseDifference],
    name: impl Fn(usize) -> String,
) {
    let Some(first) = differing.first() else { return };
    for difference in differing {
        context.metrics.response_differences.with_label_values(&[difference.part]).inc();
    }
    let cases: BTreeSet<usize> = differing.iter().map(|difference| difference.index).collect();
    let parts: BTreeSet<&str> = differing.iter().map(|difference| difference.part).collect();
    tracing::warn!(
        case = name(first.index),
        cases = cases.len(),
        fields = ?parts,
        trace_id = logged(trace::current().parent()),
        "Testmo's response shows created cases differently than they were sent"
    );
}
