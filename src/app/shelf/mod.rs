//! Reads the shelf: the batches that cannot be delivered now.

mod selection;
mod time_bound;

pub use self::selection::{EntryName, Selection, SelectionError, named};
pub use self::time_bound::TimeBound;
pub use crate::store::shelf::{RAW_HEADERS, ShelfFilter, ShelfState, Shelved};
use crate::store::{Store, StoreError};

/// Reads at most `most` entries that match a filter, oldest first.
///
/// # Errors
/// When the store does not answer.
pub async fn list(store: &Store, filter: &ShelfFilter, most: u32) -> Result<Vec<Shelved>, StoreError> {
    store.shelf(filter, most).await
}

/// Reads the entries with these names, each once.
///
/// # Errors
/// When a name has no entry, or the store does not answer.
pub async fn show(store: &Store, names: &[EntryName]) -> Result<Vec<Shelved>, SelectionError> {
    let mut entries = Vec::new();
    for id in named(store, names).await? {
        entries.extend(store.shelved(id).await?);
    }
    Ok(entries)
}
