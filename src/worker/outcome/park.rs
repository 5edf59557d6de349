//! Puts batches on the shelf, with the event that reports a long wait.

use std::time::Duration;

use crate::batch::Reason;
use crate::batch::event::{self, Event, Waiting};
use crate::store::ledger::Commit;
use crate::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use crate::store::{StoreError, UnreadableRow};
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::failpoint::{self, Failpoint};
use crate::worker::model::{ActiveBatch, InboundMessage, WaitedFor};
use crate::worker::outcome::commit::commit;
use crate::worker::outcome::duplicate::resend_if_finished;
use crate::worker::store_retry::patiently;

/// A batch that waits longer than this is reported by an event.
const LONG_WAIT: Duration = Duration::from_secs(300);

/// The longest wait until it is checked whether a row of the store can be read by now.
const UNREADABLE_ROW_WAIT: Duration = Duration::from_secs(300);

/// Shelves a batch in hand; on return it is stored.
pub(in crate::worker) async fn park(
    context: &WorkerContext,
    batch: &ActiveBatch,
    reason: Reason,
    detail: Option<String>,
    until: ShelvedUntil,
) -> Result<(), StoreError> {
    park_expecting(context, batch, reason, detail, until, until).await
}

/// Shelves a batch that is due again before its turn is expected to come.
pub(in crate::worker) async fn park_expecting(
    context: &WorkerContext,
    batch: &ActiveBatch,
    reason: Reason,
    detail: Option<String>,
    until: ShelvedUntil,
    expected: ShelvedUntil,
) -> Result<(), StoreError> {
    let (key, fingerprint) = (&batch.key.batch, &batch.key.fingerprint);
    // Where the record cannot be read, it cannot be asked either.
    let may_be_finished = batch.stored_epoch == 0 && reason != Reason::StoreRowUnreadable;
    let mut revision = batch.record.revision;
    if may_be_finished {
        match patiently(|| resend_if_finished(context, key, fingerprint, &batch.message)).await? {
            None => return Ok(()),
            Some(stored) => revision = stored,
        }
    }
    let waiting = Waiting { key, revision, trace: batch.trace() };
    let events = deferral(context, waiting, reason, detail.as_deref(), expected);
    let mut row = Shelving { detail, ..shelving(batch, reason, until) };
    if let (Reason::Throttled, ShelvedUntil::After(pause)) = (reason, until) {
        let mut message = batch.message.clone();
        message.rested(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        row.failing_since = message.failing_since;
    }
    let unshelve = batch.message.nameless_row();
    let history = batch.notes.clone();
    commit(context, Commit { shelve: Some(row), unshelve, events, history, ..Commit::default() }).await?;
    failpoint::after(Failpoint::Park);
    tracing::info!(batch = %batch.key.batch, trace_id = logged(batch.trace()), %reason, ?until, "batch parked");
    count_shelved(context, &batch.message, reason, "parked");
    if batch.message.replay.is_some() {
        context.replay_wanted.notify_one();
    }
    Ok(())
}

/// Shelves a batch for a time, because a row of the store that decides about it cannot be read.
pub(in crate::worker) async fn park_unreadable(
    context: &WorkerContext,
    batch: &ActiveBatch,
    row: &UnreadableRow,
) -> Result<(), StoreError> {
    let until = ShelvedUntil::After(unreadable_row_wait(context));
    park(context, batch, Reason::StoreRowUnreadable, Some(name_of_row(row)), until).await
}

/// Returns how long to wait for a row of the store to become readable.
pub(in crate::worker) fn unreadable_row_wait(context: &WorkerContext) -> Duration {
    UNREADABLE_ROW_WAIT.min(context.live.retry().shelf_backoff_max)
}

/// Names a row that cannot be read.
pub(in crate::worker) fn name_of_row(row: &UnreadableRow) -> String {
    format!("table {}, row {}, column {}", row.table, row.key, row.column)
}

/// Returns the event of a batch that waits for long. Its id stays the same however often the batch waits.
pub(in crate::worker) fn deferral(
    context: &WorkerContext,
    batch: Waiting<'_>,
    reason: Reason,
    detail: Option<&str>,
    until: ShelvedUntil,
) -> Vec<Event> {
    let now = context.clock.now();
    let expected = match until {
        ShelvedUntil::After(wait) if wait <= LONG_WAIT => return Vec::new(),
        ShelvedUntil::After(wait) => i64::try_from(wait.as_millis()).ok().map(|wait| now.saturating_add(wait)),
        ShelvedUntil::Connection => None,
        ShelvedUntil::Person => return Vec::new(),
    };
    vec![event::deferred(batch, reason, detail, expected, now)]
}

/// Counts something that was put on the shelf; `settlement` is `parked` or `dead`. An error of the worker's own counts once,
/// however often the message is shelved for it in a row.
pub(in crate::worker) fn count_shelved(
    context: &WorkerContext,
    message: &InboundMessage,
    reason: Reason,
    settlement: &str,
) {
    context.metrics.batches_shelved.with_label_values(&[reason.code()]).inc();
    context.metrics.batches.with_label_values(&[settlement]).inc();
    if WaitedFor::of(reason).is_none() && message.shelved_for != Some(reason) {
        context.metrics.own_errors.with_label_values(&[reason.code()]).inc();
    }
}

/// Returns the shelf row of a batch in hand.
pub(in crate::worker) fn shelving(batch: &ActiveBatch, reason: Reason, until: ShelvedUntil) -> Shelving {
    let identity = ShelfIdentity::Batch(batch.key.batch.clone(), batch.key.fingerprint.clone());
    Shelving {
        account: Some(batch.account().to_owned()),
        connection: Some(batch.connection.version.clone()),
        ..shelving_of(&batch.message, identity, reason, until)
    }
}

/// Returns the shelf row of a message.
pub(in crate::worker) fn shelving_of(
    message: &InboundMessage,
    identity: ShelfIdentity,
    reason: Reason,
    until: ShelvedUntil,
) -> Shelving {
    Shelving {
        identity,
        reason,
        detail: None,
        until,
        account: None,
        connection: None,
        parks: message.parks,
        failing_since: message.failing_since,
        arrived_at: message.arrived_at,
        published_at: message.published_at,
        headers: message.headers.clone(),
        body: message.body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_is_shelved_shares_the_body_of_its_message() {
        let message = InboundMessage::fresh(Arc::new(vec![0; 10]), BTreeMap::new(), None, 0);
        let identity = ShelfIdentity::Raw("h".into(), None, None);
        let shelving = shelving_of(&message, identity, Reason::TooLarge, ShelvedUntil::Person);
        assert!(Arc::ptr_eq(&shelving.clone().body, &message.body));
    }
}
