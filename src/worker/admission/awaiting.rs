//! Shelves batches whose connection is not ready.

use crate::batch::ledger::BatchRecord;
use crate::batch::{BatchKey, Reason};
use crate::store::StoreError;
use crate::store::ledger::Commit;
use crate::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use crate::worker::context::WorkerContext;
use crate::worker::model::InboundMessage;
use crate::worker::outcome::commit::commit;
use crate::worker::outcome::park::{count_shelved, deferral, shelving_of, unreadable_row_wait};

/// A batch whose connection is not ready.
#[derive(Clone)]
pub(in crate::worker) struct Awaiting {
    pub(in crate::worker) key: BatchKey,
    pub(in crate::worker) fingerprint: String,
    /// The keys of its cases.
    pub(in crate::worker) cases: Vec<String>,
    pub(in crate::worker) reason: Reason,
    pub(in crate::worker) detail: Option<String>,
    /// The version of the connection, if there is one.
    pub(in crate::worker) version: Option<String>,
}

impl Awaiting {
    /// Shelves the batch until the connection changes.
    pub(super) async fn shelve(self, context: &WorkerContext, message: &InboundMessage) -> Result<(), StoreError> {
        let Self { key, fingerprint, cases, reason, detail, version } = self;
        // A row does not become readable by a new connection.
        let is_unreadable = reason == Reason::StoreRowUnreadable;
        let until =
            if is_unreadable { ShelvedUntil::After(unreadable_row_wait(context)) } else { ShelvedUntil::Connection };
        let record = BatchRecord::fresh(key.clone(), fingerprint.clone(), cases);
        let events = deferral(context, &record, reason, detail.as_deref(), until);
        let identity = ShelfIdentity::Batch(key, fingerprint);
        let row = Shelving { connection: version, detail, ..shelving_of(message, identity, reason, until) };
        let unshelve = message.nameless_row();
        commit(context, Commit { shelve: Some(row), unshelve, events, ..Commit::default() }).await?;
        count_shelved(context, reason, "parked");
        Ok(())
    }
}
