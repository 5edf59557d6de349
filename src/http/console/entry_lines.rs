//! Shows entries of the shelf in a table.

use super::moment::Moment;
use super::steps::batch_address;
use crate::app::plan::batch_label;
use crate::app::shelf::{Pauses, ShelfIdentity, Shelved};
use crate::app::view::due;
use crate::app::{Store, StoreError};

/// An entry in a table.
#[derive(Clone, Debug)]
pub(super) struct EntryLine {
    pub(super) id: String,
    pub(super) state: &'static str,
    pub(super) title: &'static str,
    pub(super) batch: String,
    /// The page of its batch, if that could be read.
    pub(super) batch_page: Option<String>,
    pub(super) detail: String,
    pub(super) arrived: Moment,
    /// When it is retried.
    pub(super) next: String,
}

/// Shows entries at `now`.
pub(super) async fn lines(store: &Store, entries: &[Shelved], now: i64) -> Result<Vec<EntryLine>, StoreError> {
    let pauses = Pauses::read(store).await?;
    Ok(entries.iter().map(|entry| EntryLine::of(entry, &pauses, now)).collect())
}

impl EntryLine {
    /// Shows an entry.
    pub(super) fn of(entry: &Shelved, pauses: &Pauses, now: i64) -> Self {
        let content = &entry.content;
        Self {
            id: entry.id.to_string(),
            state: entry.state.name(),
            title: content.reason.title(),
            batch: batch_label(entry),
            batch_page: batch_page(entry),
            detail: content.detail.clone().unwrap_or_default(),
            arrived: Moment { at: content.arrived_at, now },
            next: due(entry, pauses, now),
        }
    }
}

/// Returns the address of the page of the batch of an entry, if that could be read.
pub(super) fn batch_page(entry: &Shelved) -> Option<String> {
    match &entry.content.identity {
        ShelfIdentity::Batch(key, _) => Some(batch_address(&key.to_string())),
        ShelfIdentity::Raw(_, Some(tenant), Some(batch)) => Some(batch_address(&format!("{tenant}/{batch}"))),
        ShelfIdentity::Raw(..) => None,
    }
}
