//! Shelves batches whose connection is not ready, and gives those up whose tenant gets none.

use std::time::Duration;

use crate::batch::event::{self, CaseInput, EventInput, Waiting};
use crate::batch::ledger::{BatchRecord, BatchState};
use crate::batch::message::Places;
use crate::batch::verdict::patience::{UnknownTenant, unknown_tenant};
use crate::batch::{Batch, Reason};
use crate::store::StoreError;
use crate::store::ledger::{Commit, RecordUpdate};
use crate::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use crate::trace::logged;
use crate::worker::context::WorkerContext;
use crate::worker::model::InboundMessage;
use crate::worker::outcome::commit::commit;
use crate::worker::outcome::finish::count_invalid;
use crate::worker::outcome::park::{count_shelved, deferral, shelving_of, unreadable_row_wait};
use crate::worker::outcome::span::Ended;

/// A batch whose connection is not ready.
#[derive(Clone)]
pub(in crate::worker) struct Awaiting {
    pub(in crate::worker) batch: Batch,
    pub(in crate::worker) fingerprint: String,
    pub(in crate::worker) reason: Reason,
    pub(in crate::worker) detail: Option<String>,
    /// The version of the connection, if there is one.
    pub(in crate::worker) version: Option<String>,
    /// The number of the outcome that the batch waits for.
    pub(in crate::worker) revision: u32,
}

impl Awaiting {
    /// Shelves the batch until the connection changes, or gives it up.
    pub(super) async fn shelve(self, context: &WorkerContext, message: &InboundMessage) -> Result<(), StoreError> {
        let waited = u64::try_from(context.store.now() - message.arrived_at).unwrap_or(0);
        let next = if self.reason == Reason::UnknownTenant {
            unknown_tenant(Duration::from_millis(waited), context.config.shelf.unknown_tenant_for)
        } else {
            UnknownTenant::Wait
        };
        match next {
            UnknownTenant::GiveUp if self.give_up(context, message).await? => Ok(()),
            UnknownTenant::GiveUp | UnknownTenant::Wait => self.park(context, message, false).await,
            UnknownTenant::Remind => self.park(context, message, true).await,
        }
    }

    async fn park(self, context: &WorkerContext, message: &InboundMessage, again: bool) -> Result<(), StoreError> {
        let (record, identity) = (BatchRecord { trace: message.trace(), ..self.record() }, self.identity());
        let Self { reason, detail, version, .. } = self;
        // A row does not become readable by a new connection.
        let is_unreadable = reason == Reason::StoreRowUnreadable;
        let until =
            if is_unreadable { ShelvedUntil::After(unreadable_row_wait(context)) } else { ShelvedUntil::Connection };
        let mut events = deferral(context, Waiting::of(&record), reason, detail.as_deref(), until);
        let now = context.clock.now();
        events.extend(again.then(|| event::still_deferred(Waiting::of(&record), reason, detail.as_deref(), now)));
        let row = Shelving { connection: version, detail, ..shelving_of(message, identity, reason, until) };
        let unshelve = message.nameless_row();
        commit(context, Commit { shelve: Some(row), unshelve, events, ..Commit::default() }).await?;
        count_shelved(context, message, reason, "parked");
        Ok(())
    }

    /// Finishes the batch as failed, if nothing of it was ever sent, and returns whether it is. It stays on the shelf, and
    /// is replayed once its tenant has a connection.
    async fn give_up(&self, context: &WorkerContext, message: &InboundMessage) -> Result<bool, StoreError> {
        let mut record = self.record();
        (record.published_at, record.arrived_at) = (message.published_at, Some(message.arrived_at));
        let key = record.key.to_string();
        record.trace = message.trace().map(|named| context.spans.of_batch(&named, &key, record.revision));
        let own = record.trace.clone();
        if context.store.batch_at(&record.key).await?.0.is_some() {
            return Ok(false);
        }
        record.settle(BatchState::Failed, context.store.now());
        let places = Places::of(&self.batch);
        let cases = CaseInput::of(&self.batch, &places);
        let (reason, detail) = (Some(self.reason), self.detail.as_deref());
        let input = EventInput {
            source: &self.batch.source,
            cases: &cases,
            now: context.clock.now(),
            reason,
            detail,
            replay: message.replay.map(|replay| replay.0),
        };
        let events = event::of_settlement(&record, &input).into_iter().collect();
        let row = shelving_of(message, self.identity(), self.reason, ShelvedUntil::Person);
        let change = Commit {
            batch: Some(RecordUpdate { record, from_epoch: 0 }),
            shelve: Some(Shelving { detail: self.detail.clone(), ..row }),
            unshelve: message.nameless_row(),
            events,
            ..Commit::default()
        };
        let is_done = commit(context, change).await?.is_done();
        if is_done {
            count_invalid(context, &self.record());
            tracing::warn!(batch = %self.batch.key, trace_id = logged(message.trace().as_ref()), reason = %self.reason, "batch given up");
            count_shelved(context, message, self.reason, BatchState::Failed.name());
            let (key, revision, cases) = (&self.batch.key, self.revision, self.batch.cases.len());
            let ended = Ended { key, message, revision, cases, own: own.as_ref(), former: None };
            ended.record(context, BatchState::Failed, Some(self.reason));
        }
        Ok(is_done)
    }

    fn record(&self) -> BatchRecord {
        let fresh = BatchRecord::of_batch(&self.batch, self.fingerprint.clone());
        BatchRecord { revision: self.revision, ..fresh }
    }

    fn identity(&self) -> ShelfIdentity {
        ShelfIdentity::Batch(self.batch.key.clone(), self.fingerprint.clone())
    }
}
