//! Reads everything that is known of one batch.

use crate::app::shelf::Pauses;
use crate::batch::ledger::{
    BatchRecord, BatchState, CaseRecord, CaseState, Change, DropChange, DroppedCase, KeptText, Repeat,
};
use crate::batch::{BatchKey, Reason, batch_tag};
use crate::store::audit::{AuditFilter, AuditRow};
use crate::store::history::History;
use crate::store::ledger::StoredBatch;
use crate::store::shelf::{ShelfFilter, Shelved};
use crate::store::{ConnectionStore, LedgerStore, Store, StoreError};

/// The maximum number of entries of the shelf that are read of one batch.
const MOST_ENTRIES: u32 = 20;

/// The maximum number of actions of people that are read of one batch: the latest.
const MOST_ACTIONS: u32 = 100;

/// Everything that is known of a batch.
#[derive(Clone, Debug)]
pub struct BatchDetails {
    /// Which batch it is.
    pub key: BatchKey,
    /// Its record, once the first of its cases was sent.
    pub stored: Option<StoredBatch>,
    /// Its entries on the shelf.
    pub shelf: Vec<Shelved>,
    /// The pauses that its entries may wait for.
    pub pauses: Pauses,
    /// Its create requests, its events, and its waits, retries and reconciliations.
    pub history: History,
    /// What people did with it, the first action first.
    pub audit: Vec<AuditRow>,
    /// The batch tag by which its cases are found in Testmo.
    pub batch_tag: String,
    /// Whether the present mapping of the tenant sets the batch tag.
    pub is_tagged: bool,
    /// The time of reading, in milliseconds on the store's clock.
    pub now: i64,
}

/// Why a batch cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Nothing is known of it.
    #[error("no batch {0} is known: it was not received, or it waits in the broker or in a worker")]
    Unknown(BatchKey),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads everything that is known of a batch.
///
/// # Errors
/// When nothing is known of it, or the store does not answer.
pub async fn show(store: &Store, key: &BatchKey) -> Result<BatchDetails, BatchError> {
    let (stored, now) = store.batch_at(key).await?;
    let filter =
        ShelfFilter { tenant: Some(key.tenant.clone()), batch: Some(key.batch.clone()), ..ShelfFilter::default() };
    let shelf = store.shelf(&filter, MOST_ENTRIES).await?;
    let history = store.history(key).await?;
    let filter =
        AuditFilter { tenant: Some(key.tenant.clone()), batch: Some(key.batch.clone()), ..AuditFilter::default() };
    let mut audit = store.audit(&filter, MOST_ACTIONS).await?;
    audit.reverse();
    let is_known = stored.is_some() || !shelf.is_empty() || !audit.is_empty();
    if !is_known && history.events.is_empty() && history.entries.is_empty() {
        return Err(BatchError::Unknown(key.clone()));
    }
    let pauses = if shelf.is_empty() { Pauses::default() } else { Pauses::read(store).await? };
    let (batch_tag, is_tagged) = (batch_tag(key), is_tagged(store, key).await?);
    Ok(BatchDetails { key: key.clone(), stored, shelf, pauses, history, audit, batch_tag, is_tagged, now })
}

/// Returns whether the cases of a batch get its tag: only a mapping can switch that off.
async fn is_tagged(store: &Store, key: &BatchKey) -> Result<bool, StoreError> {
    let mapping = match store.connection(&key.tenant).await {
        Err(StoreError::Unreadable(_)) => None,
        row => row?.and_then(|row| row.resolved),
    };
    Ok(mapping.is_none_or(|mapping| mapping.batch_tag))
}

impl BatchDetails {
    /// Returns its record, once the first of its cases was sent.
    pub fn record(&self) -> Option<&BatchRecord> {
        self.stored.as_ref().map(|stored| &stored.record)
    }

    /// Returns the word for the state of a case; the one that events use where there is one.
    pub fn case_state(&self, record: &BatchRecord, case: &CaseRecord) -> &'static str {
        let leased = self.stored.as_ref().and_then(|stored| stored.lease_until).is_some_and(|until| until > self.now);
        match case.state {
            CaseState::Waiting if record.state != BatchState::Open && !case.unclear => "not_sent",
            CaseState::Waiting if !case.unclear => "waiting",
            CaseState::Claimed if leased => "being_sent",
            CaseState::Created(_) => "created",
            CaseState::Adopted(_) => "adopted",
            CaseState::Refused(_) => "refused",
            CaseState::Repeated(ref repeat) => repeat.change.word(),
            CaseState::Waiting | CaseState::Claimed | CaseState::Lost => "unclear",
        }
    }

    /// Returns what was done with a case that the batch does not have, and why.
    pub fn removal(case: &DroppedCase) -> &'static str {
        match case.change {
            DropChange::Edited => "kept: edited by a person",
            DropChange::Used => "kept: used by people",
            DropChange::Unreadable => "kept: a required field cannot be read",
            DropChange::Writing
            | DropChange::Retired
            | DropChange::Deleted
            | DropChange::Left
            | DropChange::Refused
            | DropChange::NotFound => case.change.word(),
        }
    }

    /// Returns why a case was refused, with Testmo's words, or what was written and kept of a case of an earlier batch.
    pub fn remark(case: &CaseRecord) -> Option<String> {
        if let Some(status) = case.rejected_unclear() {
            return Some(format!("{}; Testmo answered {status}", Reason::RejectedUnclear));
        }
        if let Some(repeat) = case.state.repeat() {
            return in_words(repeat);
        }
        let refusal = case.state.refusal()?;
        let said = refusal.said.iter().map(|said| format!("; {}: {}", said.field, said.message));
        Some(refusal.reason.to_string() + &said.collect::<String>())
    }

    /// Returns whether a request with cases of the batch was claimed; a batch that was discarded before has a record, too.
    pub fn was_sent(record: &BatchRecord) -> bool {
        record.target().is_some() || record.state != BatchState::Discarded
    }

    /// Returns whether the cases of a finished batch are no longer kept; no batch is without cases before.
    pub fn is_pruned(record: &BatchRecord) -> bool {
        record.cases.is_empty()
    }
}

/// Says which fields of a case of an earlier batch were written, and which stay as a person has edited them.
fn in_words(repeat: &Repeat) -> Option<String> {
    let why = match repeat.change {
        Change::OtherTemplate => Some("needs another template, which no request can change"),
        Change::Unreadable => Some("a required field cannot be read"),
        Change::Writing
        | Change::Updated
        | Change::Unchanged
        | Change::Kept
        | Change::Skipped
        | Change::Superseded
        | Change::NotFound => None,
    };
    let mut words: Vec<String> = why.map(str::to_owned).into_iter().collect();
    if !repeat.written.is_empty() {
        words.push(format!("wrote {}", repeat.written.join(", ")));
    }
    words.extend(repeat.kept.iter().map(|KeptText { column, generated, shown }| match shown {
        Some(shown) => format!("kept {column} \"{shown}\", not \"{generated}\""),
        None => format!("kept {column}, which Testmo does not show"),
    }));
    (!words.is_empty()).then(|| words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_and_kept_of_a_case_is_said_with_both_contents() {
        let kept = |column: &str, shown: Option<&str>| KeptText {
            column: column.into(),
            generated: "new".into(),
            shown: shown.map(str::to_owned),
        };
        let updated = Repeat {
            written: vec!["custom_steps".into(), "tags".into()],
            kept: vec![kept("name", Some("mine")), kept("custom_note", None)],
            ..Repeat::only(Change::Updated)
        };
        let expected =
            "wrote custom_steps, tags; kept name \"mine\", not \"new\"; kept custom_note, which Testmo does not show";
        assert_eq!(in_words(&updated).as_deref(), Some(expected));
        assert_eq!(in_words(&Repeat::only(Change::Unchanged)), None);
        assert!(in_words(&Repeat::only(Change::OtherTemplate)).is_some_and(|words| words.contains("template")));
    }
}
