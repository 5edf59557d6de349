//! Keeps what happened to each batch beside its record: its pushes, its events, and each wait, retry and reconciliation.

mod entry;
mod fold;
mod prune;
mod read;
mod rows;

pub use self::entry::{
    Happening, HistoryEntry, LONGEST_DETAIL, MOST_CANDIDATES, Reconciliation, WaitsFor, kept, redacted,
};
pub use self::fold::{COMPARED, MOST_ENTRIES, Recent, note};
#[cfg(test)]
pub(super) use self::prune::examine_history;
pub(super) use self::prune::prune_history;
pub use self::read::{EventRow, History, Holder, PushRow};
pub(super) use self::rows::remember;
#[cfg(test)]
pub(super) use self::rows::{ENTRIES, recent_statement};
