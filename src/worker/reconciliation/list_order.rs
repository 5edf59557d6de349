//! Counts lists of cases that came in another order than requested.

use crate::testmo::CaseList;
use crate::worker::context::WorkerContext;

/// Counts a list that did not come in the requested order; then all of it was read.
pub(in crate::worker) fn note_list_order(context: &WorkerContext, account: &str, list: &CaseList) {
    if !list.descends {
        context.metrics.unordered_lists.inc();
        tracing::warn!(
            account,
            requests = list.requests,
            "Testmo lists cases in another order than requested; the lists are read to the end"
        );
    }
}
