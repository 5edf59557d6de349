//! Edits the message of an entry of the shelf: it is checked like a message that is published, and stays the same batch.
//!
//! What is, or may be, in Testmo cannot be edited, and neither can that by which the generator knows the batch.

mod difference;
mod draft_file;
mod error;
mod indent;
mod locked;
mod plan;
mod repeated;
mod setting;

use std::sync::Arc;

use serde_json::{Map, Value, json};

pub use self::difference::Change;
pub use self::draft_file::DraftFile;
pub use self::error::EditError;
pub use self::locked::Locked;
pub use self::plan::{EditOutcome, EditPlan, PlannedEdit, RefusedEdit, plan};
pub use self::repeated::settings_of;
pub use self::setting::Setting;
use super::actor::{Actor, Role, require};
use super::discard::under_way;
use super::plan::PlannedEntry;
use super::shelf::{CauseId, group_of};
use crate::batch::ledger::{BatchRecord, BatchState, Standing};
use crate::batch::message::decode::decode;
use crate::batch::message::encoding::{CONTENT_ENCODING, Encoded, Encoding};
use crate::batch::message::lint::lint;
use crate::batch::{Batch, BatchId, BatchKey, Fault, Reason, TenantId, fingerprint, raw_hash};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::ledger::{Commit, RecordUpdate, StoredBatch};
use crate::store::shelf::{EditedMessage, ShelfId, ShelfIdentity, Shelved};
use crate::store::unfinished::Unfinished;
use crate::store::{LedgerStore, Store, StoreHealth};

/// The most fields that are set at once.
pub const MOST_FIELDS: usize = 50;
/// The largest message that is opened: one that is too large for the worker can be shortened.
const MOST_OPENED: usize = 64_000_000;
/// The most changes of an edit that the audit keeps.
const MOST_AUDITED: usize = 50;

/// A message of the shelf that is being edited.
#[derive(Debug)]
pub struct Draft {
    /// The entry.
    pub entry: PlannedEntry,
    row: Shelved,
    text: String,
    json: Option<Value>,
    /// What the message is, unless it breaks the contract.
    batch: Option<Batch>,
    identity: locked::Identity,
    /// The record of the batch, if there is one of this very batch.
    stored: Option<StoredBatch>,
    most_bytes: usize,
}

/// An edited message that can be stored.
#[derive(Debug)]
pub struct Edited {
    /// How it differs; empty if nothing was edited.
    pub changes: Vec<Change>,
    batch: Batch,
    body: Vec<u8>,
}

/// Opens the message of an entry; a worker takes messages of at most `most_bytes`.
///
/// # Errors
/// When it is gone or cannot be edited now, or the store does not answer.
pub async fn open(store: &Store, id: ShelfId, most_bytes: usize) -> Result<Draft, EditError> {
    let message = OpenedMessage::of(store.shelved(id).await?.ok_or(EditError::Gone)?, most_bytes)?;
    let record = match message.key() {
        Some(key) => store.batch(&key).await?,
        None => None,
    };
    message.draft(record, store.now())
}

/// A message of the shelf that was read to be edited.
#[derive(Debug)]
pub struct OpenedMessage {
    row: Shelved,
    text: String,
    batch: Option<Batch>,
    known: (Option<TenantId>, Option<BatchId>),
    most_bytes: usize,
}

impl OpenedMessage {
    /// Reads the message of an entry; a worker takes messages of at most `most_bytes`.
    ///
    /// # Errors
    /// When the entry is in hand or in a replay, or the message is not text.
    pub fn of(row: Shelved, most_bytes: usize) -> Result<Self, EditError> {
        if row.leased {
            return Err(Unfinished::InHand.into());
        }
        if let Some(replay) = row.replay {
            return Err(EditError::InReplay(replay.0));
        }
        let text = text_of(&row, most_bytes)?;
        let batch = decode(text.as_bytes()).ok();
        let known = match &batch {
            Some(batch) => (Some(batch.key.tenant.clone()), Some(batch.key.batch.clone())),
            None => identity_of(&row),
        };
        Ok(Self { row, text, batch, known, most_bytes })
    }

    /// Returns the batch whose record decides what may be edited, if it is known.
    pub fn key(&self) -> Option<BatchKey> {
        let (tenant, batch) = self.known.clone();
        Some(BatchKey::new(tenant?, batch?))
    }

    /// Opens the message for an edit at `now`, with what is recorded under its key.
    ///
    /// # Errors
    /// When it cannot be edited now.
    pub fn draft(self, record: Option<StoredBatch>, now: i64) -> Result<Draft, EditError> {
        let Self { row, text, batch, known, most_bytes } = self;
        let (stored, is_taken) = match (record, &batch) {
            (Some(stored), Some(batch)) => match stored.record.standing(&fingerprint(batch)) {
                Standing::Present => (Some(stored), false),
                Standing::Earlier => return Err(EditError::Superseded),
                Standing::Other => (None, true),
            },
            (Some(_), None) => (None, true),
            (None, _) => (None, false),
        };
        if let Some(stored) = &stored {
            may_be_edited(stored, now)?;
        }
        let identity = locked::Identity { tenant: known.0, batch: known.1, is_taken };
        let json = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok();
        Ok(Draft { entry: PlannedEntry::of(&row), row, text, json, batch, identity, stored, most_bytes })
    }
}

/// Returns the text of a message, decompressed.
fn text_of(row: &Shelved, most_bytes: usize) -> Result<String, EditError> {
    let encoding = Encoding::of(row.content.headers.get(CONTENT_ENCODING).map(String::as_str));
    let most = most_bytes.max(MOST_OPENED);
    let decompressed = encoding.decode(&row.content.body, most).map_err(|error| match error {
        Encoded::TooLarge(most) => EditError::NotRead(format!(
            "the message has more than {most} bytes when decompressed, too many to be edited: publish the cases in \
             several smaller batches"
        )),
        Encoded::Broken(fault) => EditError::NotRead(fault.to_string()),
    })?;
    let bytes = decompressed.unwrap_or_else(|| row.content.body.to_vec());
    String::from_utf8(bytes).map_err(|_| EditError::NotText)
}

/// Returns what is known of the tenant and the batch id of a message that breaks the contract.
fn identity_of(row: &Shelved) -> (Option<TenantId>, Option<BatchId>) {
    let (tenant, batch) = row.content.identity.names();
    (tenant.cloned(), batch.cloned())
}

fn may_be_edited(stored: &StoredBatch, now: i64) -> Result<(), EditError> {
    if let Some(wait) = under_way(stored, now) {
        return Err(Unfinished::Pushing { wait }.into());
    }
    match stored.record.state {
        BatchState::Delivered => Err(EditError::Delivered),
        state @ (BatchState::Discarded | BatchState::Undone) => Err(EditError::GivenUp(state)),
        state @ (BatchState::Open | BatchState::Partial | BatchState::Failed) => {
            if stored.record.cases.is_empty() {
                Err(EditError::GivenUp(state))
            } else {
                Ok(())
            }
        }
    }
}

impl Draft {
    /// Returns the message as it is to be edited: its JSON as the generator wrote it, indented.
    pub fn text(&self) -> String {
        match &self.json {
            Some(_) => indent::indented(&self.text),
            None => self.text.clone(),
        }
    }

    /// Returns the group of the entry.
    pub fn group(&self) -> CauseId {
        group_of(&self.row)
    }

    /// Returns a number that is another one once anybody, or a worker, has changed the entry.
    pub fn version(&self) -> i64 {
        self.row.generation
    }

    /// Returns the positions of the cases that cannot be edited, from 0, each with the reason in words.
    pub fn locks(&self) -> Vec<(usize, &'static str)> {
        let record = self.stored.as_ref().map(|stored| &stored.record);
        let lock = |at: usize| Some((at, record?.lock_of(at)?.words()));
        (0..record.map_or(0, |record| record.cases.len())).filter_map(lock).collect()
    }

    /// Applies settings to the message, and returns the edited one. Cases that cannot be edited are left alone where a
    /// setting is for all of them.
    ///
    /// # Errors
    /// When the message is not JSON, a setting names no place in it, or the result cannot be stored.
    pub fn set(&self, settings: &[Setting]) -> Result<Edited, EditError> {
        let Some(json) = &self.json else {
            let fault = lint(self.text.as_bytes()).faults.into_iter().next().map(|finding| finding.fault);
            return Err(EditError::NotJson(
                fault.unwrap_or_else(|| Fault::at(String::new(), String::new(), String::new())),
            ));
        };
        let record = self.stored.as_ref().map(|stored| &stored.record);
        let is_locked = |at: usize| record.is_some_and(|record| record.lock_of(at).is_some());
        let mut edited = json.clone();
        for setting in settings {
            setting.apply(&mut edited, &is_locked).map_err(EditError::NoSuchPlace)?;
        }
        self.check(format!("{edited:#}\n").into_bytes())
    }

    /// Checks an edited message.
    ///
    /// # Errors
    /// When it breaks the contract, or something was edited that cannot be.
    pub fn check(&self, body: Vec<u8>) -> Result<Edited, EditError> {
        if body.len() > self.most_bytes {
            return Err(EditError::TooLarge { bytes: body.len(), most: self.most_bytes });
        }
        let batch = match decode(&body) {
            Ok(batch) => batch,
            Err(_) => return Err(EditError::Faulty(all_faults(&body))),
        };
        self.check_faults(&batch, &body)?;
        self.identity.check(&batch)?;
        let json: Value =
            serde_json::from_slice(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body)).unwrap_or_default();
        let changes = match &self.json {
            Some(before) => difference::difference(before, &json),
            None => vec![Change { pointer: String::new(), before: None, after: Some(json.clone()) }],
        };
        if let (Some(before), Some(before_json), false) = (&self.batch, &self.json, self.identity.is_taken) {
            locked::check((before, before_json), (&batch, &json), self.stored.as_ref().map(|stored| &stored.record))?;
        }
        Ok(Edited { changes, batch, body })
    }

    /// Checks that no case is faulty, but for those that are as they were.
    fn check_faults(&self, after: &Batch, body: &[u8]) -> Result<(), EditError> {
        let was = |at: usize| self.batch.as_ref().and_then(|batch| batch.cases.get(at));
        let is_new = |at: usize| after.cases[at].faulty.is_some() && was(at) != Some(&after.cases[at]);
        if !(0..after.cases.len()).any(is_new) {
            return Ok(());
        }
        let is_of_new = |fault: &Fault| fault.case.and_then(|n| n.checked_sub(1)).is_none_or(&is_new);
        Err(EditError::Faulty(all_faults(body).into_iter().filter(is_of_new).collect()))
    }

    /// Stores an edited message in place of the present one. Whether and when the entry is retried stays as it was.
    ///
    /// # Errors
    /// When the person may not, the entry has changed meanwhile, another batch has its batch id, or the store does not
    /// answer.
    pub async fn store(
        &self,
        edited: &Edited,
        store: &Store,
        actor: &Actor,
        because: Option<&str>,
    ) -> Result<(), EditError> {
        require(actor, Role::Operator)?;
        if self.stored.is_none() && store.batch(&edited.batch.key).await?.is_some() {
            return Err(if self.is_own() { EditError::Changed } else { EditError::Taken(edited.batch.key.clone()) });
        }
        let change = self.change(edited, actor, because);
        if store.commit(change.into()).await?.is_done() { Ok(()) } else { Err(EditError::Changed) }
    }

    /// Returns whether the message is a batch that keeps its identity.
    fn is_own(&self) -> bool {
        self.batch.is_some() && !self.identity.is_taken
    }

    /// Returns what is stored of a person's edit; nothing is stored yet. The message before is from then on an earlier form of
    /// the same batch.
    pub fn change(&self, edited: &Edited, actor: &Actor, because: Option<&str>) -> Commit {
        let print = fingerprint(&edited.batch);
        let update = match (&self.batch, &self.stored) {
            (Some(before), Some(stored)) => {
                let mut record = stored.record.clone();
                record.edit(before, &edited.batch, print.clone());
                Some(RecordUpdate { record, from_epoch: stored.record.epoch })
            }
            // Nothing was sent yet. The record is stored so that a copy of the message before is recognized.
            (Some(before), None) if self.is_own() && fingerprint(before) != print => {
                let fresh = BatchRecord::of_batch(before, fingerprint(before));
                let mut record = BatchRecord { trace: self.row.content.trace(), ..fresh };
                record.edit(before, &edited.batch, print.clone());
                Some(RecordUpdate { record, from_epoch: 0 })
            }
            (Some(_) | None, _) => None,
        };
        let key = edited.batch.key.clone();
        let identity = match (&self.row.content.identity, self.row.content.reason) {
            // It is tried alone, under the hash of its bytes.
            (ShelfIdentity::Raw(..), Reason::Suspect | Reason::CrashLoop) => {
                ShelfIdentity::Raw(raw_hash(&edited.body), Some(key.tenant), Some(key.batch))
            }
            (ShelfIdentity::Raw(..) | ShelfIdentity::Batch(..), _) => ShelfIdentity::Batch(key, print),
        };
        let mut headers = self.row.content.headers.clone();
        headers.remove(CONTENT_ENCODING);
        let body = Arc::new(edited.body.clone());
        let (id, generation) = (self.row.id, self.row.generation);
        Commit {
            batch: update,
            edit: Some(EditedMessage { id, generation, identity, headers, body }),
            audit: vec![self.audit(edited, actor).because(because)],
            ..Commit::default()
        }
    }

    fn audit(&self, edited: &Edited, actor: &Actor) -> AuditEntry {
        let state = |of: fn(&Change) -> &Option<Value>| {
            let shown = edited.changes.iter().take(MOST_AUDITED);
            let mut values: Map<String, Value> =
                shown.map(|change| (change.pointer.clone(), of(change).clone().unwrap_or_default())).collect();
            let more = edited.changes.len().saturating_sub(MOST_AUDITED);
            if more > 0 {
                values.insert("more_changes".into(), json!(more));
            }
            Value::Object(values)
        };
        let subject = AuditSubject::entry(self.row.id, Some(&edited.batch.key), None);
        let subject = subject.traced(self.row.content.trace().as_ref());
        AuditEntry::new(actor, AuditAction::EditEntry, subject)
            .change(Some(state(|change| &change.before)), Some(state(|change| &change.after)))
    }
}

/// Returns every fault of a message.
fn all_faults(body: &[u8]) -> Vec<Fault> {
    lint(body).faults.into_iter().map(|finding| finding.fault).collect()
}

#[cfg(test)]
mod tests;
