//! Reads the shelf: the batches that cannot be delivered now.

mod commands;
pub(in crate::app) mod customer;
mod groups;
mod note;
mod pauses;
mod selection;
mod time_bound;

pub use self::commands::{Deed, ShelfCommand, commands, commands_of_connection, story, text_for_customer};
pub use self::customer::{CustomerText, for_customer};
pub use self::groups::{CauseNote, Group, GroupFilter, group_of, groups, notes_of};
pub(super) use self::groups::{cause_shares, groups_of};
pub use self::note::{NoteError, remove_note, write_note};
pub use self::pauses::Pauses;
pub use self::selection::{EntryName, Selection, SelectionError, named};
pub use self::time_bound::TimeBound;
use crate::app::extent::{COUNTED, Extent};
pub use crate::batch::cause::CauseId;
pub use crate::store::shelf::{Place, RAW_HEADERS, ShelfFilter, ShelfId, ShelfIdentity, ShelfState, Shelved};
use crate::store::{Store, StoreError};

/// Reads at most `most` entries that match a filter, without their messages and newest first; 0 means all.
///
/// # Errors
/// When the store does not answer.
pub async fn list(store: &Store, filter: &ShelfFilter, most: u32) -> Result<Vec<Shelved>, StoreError> {
    store.newest_on_shelf(filter, if most == 0 { u32::MAX } else { most }).await
}

/// Reads up to `most` entries behind a place that match a filter, newest first, and the place behind which further ones may
/// follow.
///
/// # Errors
/// When the store does not answer.
pub async fn page(
    store: &Store,
    filter: &ShelfFilter,
    behind: Option<Place>,
    most: u32,
) -> Result<(Vec<Shelved>, Option<Place>), StoreError> {
    store.shelf_page(filter, behind, most).await
}

/// Counts the entries that match a filter, of which `shown` are listed.
///
/// # Errors
/// When the store does not answer.
pub async fn extent(store: &Store, filter: &ShelfFilter, shown: usize) -> Result<Extent, StoreError> {
    let (totals, is_all) = store.shelf_totals(filter, COUNTED).await?;
    let mut extent = Extent::new(shown, is_all, &["reason", "tenant"]);
    for total in totals {
        let reason = total.reason.map_or("unknown", |reason| reason.code());
        extent.add(&[reason, total.tenant.as_ref().map_or("unknown", |tenant| tenant.as_str())], total.count);
    }
    Ok(extent)
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

/// Reads the entries whose message was published with this `message_id`.
///
/// # Errors
/// When there is none, or the store does not answer.
pub async fn show_published_as(store: &Store, message_id: &str) -> Result<Vec<Shelved>, SelectionError> {
    let filter = ShelfFilter { message_id: Some(message_id.to_owned()), ..ShelfFilter::default() };
    let mut entries = Vec::new();
    for id in store.shelf_ids(&filter).await? {
        entries.extend(store.shelved(id).await?);
    }
    if entries.is_empty() { Err(SelectionError::NotPublishedAs(message_id.to_owned())) } else { Ok(entries) }
}
