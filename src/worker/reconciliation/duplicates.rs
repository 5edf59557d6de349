//! Notes rows of Testmo that stand for a case a second time, and counts them.

use std::collections::HashSet;

use crate::batch::BatchKey;
use crate::batch::event::{self, Event};
use crate::batch::ledger::BatchRecord;
use crate::batch::ledger::duplicates::duplicates;
use crate::batch::ledger::reconcile::Row;
use crate::trace::{TraceContext, logged};
use crate::worker::context::WorkerContext;

/// Notes rows of an account that stand for cases a second time in the record; returns the event that reports them, and how many there
/// are.
///
/// Without a batch tag none is noted: a person may have made a case of the same name.
pub(in crate::worker) fn note_duplicates(
    context: &WorkerContext,
    record: &mut BatchRecord,
    (account, batch_tag): (&str, Option<&str>),
    held: &HashSet<u64>,
    rows: &[Row],
) -> Option<(Event, usize)> {
    let found = duplicates(record, account, batch_tag?, held, rows);
    if found.is_empty() {
        return None;
    }
    record.duplicated(&found);
    Some((event::duplicated(record, &found, context.clock.now()), found.len()))
}

/// Counts noted duplicates once they are stored.
pub(in crate::worker) fn count_duplicates(
    context: &WorkerContext,
    batch: &BatchKey,
    trace: Option<&TraceContext>,
    found: usize,
) {
    if found > 0 {
        context.metrics.duplicate_cases.inc_by(found as u64);
        context.metrics.own_errors.with_label_values(&["duplicate"]).inc();
        tracing::error!(
            %batch, trace_id = logged(trace), found,
            "cases are in Testmo twice: Testmo carried out a request after its cases had been sent again"
        );
        context.outbox_wanted.notify_one();
    }
}
