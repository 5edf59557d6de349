//! Reads and writes the file beside an SQLite store that says how far the store had come, and decides what it means.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How far a store has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    /// The id of the store and of all its copies.
    pub(super) store: String,
    /// How often it was written, counted once a second at most.
    pub(super) writes: i64,
    /// How often it was restored from an older copy.
    pub(super) restores: u32,
}

/// What a store is, by the file beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The store as it was, or further on.
    Known,
    /// An older copy of it.
    SetBack,
    /// Another store, or a copy that is so old that it has no id.
    Other,
}

/// Decides what a store is whose file says `kept`.
pub(super) fn start(kept: &Counter, stored: Option<&Counter>) -> Start {
    match stored {
        Some(stored) if stored.store == kept.store && stored.writes >= kept.writes => Start::Known,
        Some(stored) if stored.store == kept.store => Start::SetBack,
        Some(_) | None => Start::Other,
    }
}

/// Returns what is kept beside a store; nothing if there is no such file, or it cannot be read.
pub(super) fn read(store: &Path) -> Option<Counter> {
    let file = beside(store);
    let text = fs::read_to_string(&file).ok()?;
    let counter = serde_json::from_str(&text);
    if let Err(error) = &counter {
        tracing::warn!(file = %file.display(), %error, "whether the store is an older copy cannot be checked");
    }
    counter.ok()
}

/// Writes how far a store has come, after that is stored. A file that cannot be written is left behind, which a later
/// start takes for what it is.
pub(super) fn write(store: &Path, counter: &Counter) {
    let file = beside(store);
    let mut next = file.clone().into_os_string();
    next.push(".new");
    let text = crate::batch::json_of(counter);
    if let Err(error) = fs::write(&next, text).and_then(|()| fs::rename(&next, &file)) {
        tracing::warn!(file = %file.display(), %error, "how far the store has come could not be written");
    }
}

/// Removes the file, as the store is a new one.
pub(in crate::store) fn remove(store: &Path) {
    drop(fs::remove_file(beside(store)));
}

fn beside(store: &Path) -> PathBuf {
    let mut name = store.to_owned().into_os_string();
    name.push(".writes");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(store: &str, writes: i64) -> Counter {
        Counter { store: store.into(), writes, restores: 0 }
    }

    #[test]
    fn a_store_with_a_lower_counter_was_set_back() {
        let kept = counter("a", 7);
        for (stored, expected) in [
            (Some(counter("a", 7)), Start::Known),
            (Some(counter("a", 9)), Start::Known),
            (Some(counter("a", 6)), Start::SetBack),
            (Some(counter("b", 9)), Start::Other),
            (None, Start::Other),
        ] {
            assert_eq!(start(&kept, stored.as_ref()), expected, "{stored:?}");
        }
    }

    #[test]
    fn what_is_kept_is_read_back_and_a_damaged_file_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("courier.db");
        assert_eq!(read(&store), None);
        write(&store, &counter("a", 7));
        write(&store, &counter("a", 8));
        assert_eq!(read(&store), Some(counter("a", 8)));
        fs::write(beside(&store), "{").unwrap();
        assert_eq!(read(&store), None);
        remove(&store);
        assert!(!beside(&store).exists());
    }
}
