//! Lets a person replay, correct, discard and restore single entries of the shelf.

use testmo_courier::app::discard::{discard, own_batch};
use testmo_courier::app::edit::OpenedMessage;
use testmo_courier::app::restore_entry::open_again;
use testmo_courier::batch::Batch;
use testmo_courier::batch::restored::Restored;
use testmo_courier::replay::at_once;
use testmo_courier::store::audit::{AuditAction, AuditEntry, AuditSubject};
use testmo_courier::store::ledger::{Commit, StoredBatch};
use testmo_courier::store::shelf::{ShelfId, ShelfIdentity};
use testmo_courier::store::{LedgerStore, ReplayStore, StoreError, StoreHealth};

use super::{Person, nth};
use crate::batches::corrected;
use crate::store::tables::tenant_of;

/// A change, or `None` if it is not possible now.
type Decision = Result<Option<Commit>, StoreError>;

impl Person {
    /// Replays an entry alone.
    pub(super) async fn replay_entry(&self, entry: Option<ShelfId>) {
        let Some(entry) = entry else { return };
        let decision = async {
            let Some(row) = self.store.entry(entry).await? else { return Ok(None) };
            let most = self.stage.config.amqp.max_message_bytes;
            Ok(at_once(&self.store, &row, most).await?.ok().map(|(change, _)| change))
        };
        self.store_audited(entry, AuditAction::ReplayEntry, decision.await).await;
    }

    /// Discards an entry.
    pub(super) async fn discard(&self, entry: Option<ShelfId>) {
        let Some(entry) = entry else { return };
        let decision = async {
            let Some(row) = self.store.entry(entry).await? else { return Ok(None) };
            let batch = own_batch(&row);
            let stored = self.stored_of(batch.as_ref()).await?;
            // The checks could not know whether its cases are in Testmo.
            let is_unclear =
                |stored: &StoredBatch| stored.record.unclear_since.is_some() || stored.record.open_push.is_some();
            if stored.as_ref().is_some_and(is_unclear) {
                return Ok(None);
            }
            Ok(discard(&row, batch.as_ref(), stored, &Restored::default(), self.store.now()).ok())
        };
        self.store_audited(entry, AuditAction::DiscardEntry, decision.await).await;
    }

    /// Restores one of the discarded entries.
    pub(super) async fn restore(&self, which: usize) {
        let discarded = self.stage.store.at_once(|tables, now| {
            let rows = tables.discarded.iter().map(|(id, (row, _))| row.as_shelved(*id, now));
            rows.collect::<Vec<_>>()
        });
        let Some(row) = nth(&discarded, which) else { return };
        // Nobody could distinguish its cases from those of a batch with the same names that was sent in the meantime.
        if tenant_of(&row.content.identity).is_none_or(|tenant| !self.stage.has_batch_tag(tenant)) {
            return;
        }
        let decision = async {
            let batch = own_batch(row);
            let stored = self.stored_of(batch.as_ref()).await?;
            let reopened = batch.zip(stored).and_then(|(batch, stored)| open_again(&batch, stored.record));
            Ok(Some(Commit { restore: Some(row.id), batch: reopened, ..Commit::default() }))
        };
        self.store_audited(row.id, AuditAction::RestoreEntry, decision.await).await;
    }

    /// Corrects one of the entries with a case that Testmo refuses, and replays it alone.
    pub(super) async fn correct(&self, which: usize) {
        let refused = self.stage.store.at_once(|tables, _| {
            let is_batch = |identity: &ShelfIdentity| matches!(identity, ShelfIdentity::Batch(..));
            let rows = tables
                .shelf
                .iter()
                .filter(|(_, row)| is_batch(&row.content.identity) && corrected(&row.content.body).is_some());
            rows.map(|(id, _)| ShelfId(*id)).collect::<Vec<_>>()
        });
        let Some(entry) = nth(&refused, which).copied() else { return };
        let edit = async {
            let Some(row) = self.store.entry(entry).await? else { return Ok(None) };
            let body = corrected(&row.content.body);
            let Ok(message) = OpenedMessage::of(row, self.stage.config.amqp.max_message_bytes) else { return Ok(None) };
            let stored = match message.key() {
                Some(key) => self.store.batch_at(&key).await?.0,
                None => None,
            };
            let (Some(body), Ok(draft)) = (body, message.draft(stored, self.store.now())) else { return Ok(None) };
            Ok(draft.check(body).ok().map(|edited| draft.change(&edited, &self.actor, None)))
        };
        if self.store_change(entry, AuditAction::EditEntry, edit.await).await {
            self.replay_entry(Some(entry)).await;
        }
    }

    async fn stored_of(&self, batch: Option<&Batch>) -> Result<Option<StoredBatch>, StoreError> {
        match batch {
            Some(batch) => Ok(self.store.batch_at(&batch.key).await?.0),
            None => Ok(None),
        }
    }

    /// Stores what was decided on, with an entry of the audit.
    async fn store_audited(&self, entry: ShelfId, action: AuditAction, decision: Decision) {
        let audited = decision.map(|change| {
            let audit = vec![AuditEntry::new(&self.actor, action, AuditSubject::entry(entry, None, None))];
            change.map(|change| Commit { audit, ..change })
        });
        self.store_change(entry, action, audited).await;
    }

    /// Stores what was decided on, and returns whether that is known to be done.
    async fn store_change(&self, entry: ShelfId, action: AuditAction, decision: Decision) -> bool {
        let done = async {
            let Some(change) = decision? else { return Ok::<_, StoreError>(false) };
            Ok(self.store.commit(change.into()).await?.is_done())
        };
        let done = done.await;
        self.stage.diary.note(|| format!("{}: {action:?} of entry {entry}: {done:?}", self.actor));
        done.unwrap_or(false)
    }
}
