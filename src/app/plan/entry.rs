//! Names entries of the shelf without their messages.

use crate::batch::{Reason, TenantId};
use crate::store::shelf::{ShelfId, ShelfIdentity, Shelved};

/// An entry of the shelf without its message.
#[derive(Clone, Debug)]
pub struct PlannedEntry {
    /// Its id.
    pub id: ShelfId,
    /// Its batch, as [`batch_label`] writes it.
    pub batch: String,
    /// Whose it is, if that could be read.
    pub tenant: Option<TenantId>,
    /// Why it is on the shelf.
    pub reason: Reason,
}

impl PlannedEntry {
    pub(super) fn of(row: &Shelved) -> Self {
        Self { id: row.id, batch: batch_label(row), tenant: row.tenant().cloned(), reason: row.content.reason }
    }
}

/// Returns the batch of an entry as `TENANT/BATCH`, as far as that could be read, otherwise a part of its message's
/// hash.
pub fn batch_label(entry: &Shelved) -> String {
    match &entry.content.identity {
        ShelfIdentity::Batch(key, _) => key.to_string(),
        ShelfIdentity::Raw(_, Some(tenant), Some(batch)) => format!("{tenant}/{batch}"),
        ShelfIdentity::Raw(_, Some(tenant), None) => format!("{tenant}/?"),
        ShelfIdentity::Raw(hash, None, _) => format!("message {}", hash.chars().take(12).collect::<String>()),
    }
}
