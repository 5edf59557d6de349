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
    pub(in crate::app) fn of(row: &Shelved) -> Self {
        Self { id: row.id, batch: batch_label(row), tenant: row.tenant().cloned(), reason: row.content.reason }
    }
}

/// Returns the batch of an entry as `TENANT/BATCH`, if that could be read, otherwise a part of its message's hash, as
/// `lint` and events write it, and its tenant.
pub fn batch_label(entry: &Shelved) -> String {
    match &entry.content.identity {
        ShelfIdentity::Batch(key, _) => key.to_string(),
        ShelfIdentity::Raw(_, Some(tenant), Some(batch)) => format!("{tenant}/{batch}"),
        ShelfIdentity::Raw(hash, Some(tenant), None) => format!("message {hash:.12} of {tenant}"),
        ShelfIdentity::Raw(hash, None, _) => format!("message {hash:.12}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture;
    use super::*;
    use crate::app::shelf::EntryName;

    #[test]
    fn an_entry_without_a_batch_is_named_by_the_hash_that_selects_it() {
        let identity = ShelfIdentity::Raw("0123456789abcdef".into(), Some(fixture::acme()), None);
        let entry = fixture::row(identity, Reason::InvalidMessage, fixture::message());
        let label = batch_label(&entry);
        assert_eq!(label, "message 0123456789ab of acme");
        let name = label.split(' ').nth(1).map(str::parse);
        assert_eq!(name, Some(Ok(EntryName::Message("0123456789ab".into()))));
    }
}
