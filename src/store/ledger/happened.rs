//! Lists what a change adds to the histories of batches.

use super::super::history::{Happening, HistoryEntry};
use super::super::shelf::Shelving;
use super::Commit;
use crate::batch::BatchKey;

/// Returns what a change that is stored at `now` adds to which histories, in its order. `due_at` is when what it shelves is
/// due; `None` if nothing was put onto the shelf.
pub fn happened(change: &Commit, due_at: Option<i64>, now: i64) -> Vec<(BatchKey, HistoryEntry)> {
    let shelved_key = change.shelve.as_ref().and_then(key_of);
    let of_window = change.window.as_ref().map(|step| &step.batch);
    let key = change.batch.as_ref().map(|update| &update.record.key).or(shelved_key.as_ref()).or(of_window);
    let mut entries: Vec<(BatchKey, HistoryEntry)> = Vec::new();
    if let Some(key) = key {
        entries.extend(change.history.iter().map(|entry| (key.clone(), entry.clone())));
    }
    if let (Some(shelving), Some(key), Some(due_at)) = (&change.shelve, shelved_key, due_at) {
        let what = Happening::shelved(shelving.reason, shelving.detail.as_deref(), shelving.until);
        let until = what.has_end().then_some(due_at);
        entries.push((key, HistoryEntry::once(what, now, until)));
    }
    entries
}

/// Returns the batch of what is shelved, as far as known.
fn key_of(shelving: &Shelving) -> Option<BatchKey> {
    let (tenant, batch) = shelving.identity.names();
    Some(BatchKey::new(tenant?.clone(), batch?.clone()))
}
