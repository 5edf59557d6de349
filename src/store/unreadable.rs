//! Notes rows of the store that this version cannot read, so that one of them holds up nothing but itself.
//!
//! A newer version may have written such a row, or somebody by hand. Lists and polls leave it out; a decision that needs it
//! gets an error that names it, and never takes it as absent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::StoreError;
use crate::guard::lock;

/// The most rows of a table that are remembered; then they are forgotten, and reported again.
const MOST_ROWS: usize = 1_000;

/// A row that this version cannot read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnreadableRow {
    /// Its table.
    pub table: &'static str,
    /// Its key.
    pub key: String,
    /// The column whose value is not one that this version knows.
    pub column: String,
}

/// The rows that could not be read so far, by table and key.
#[derive(Clone, Debug, Default)]
pub(super) struct UnreadableRows {
    seen: Arc<Mutex<BTreeMap<&'static str, BTreeSet<String>>>>,
}

impl UnreadableRows {
    /// Reports a row, the first time it is met.
    pub(super) fn note(&self, row: &UnreadableRow) {
        let mut seen = lock(&self.seen);
        let keys = seen.entry(row.table).or_default();
        if keys.len() >= MOST_ROWS && !keys.contains(&row.key) {
            keys.clear();
        }
        if keys.insert(row.key.clone()) {
            let UnreadableRow { table, key, column } = row;
            tracing::error!(
                table,
                key,
                column,
                "a row of the store cannot be read by this version; the row is not changed"
            );
        }
    }

    /// Leaves out what cannot be read.
    ///
    /// # Errors
    /// With any other error.
    pub(super) fn skip<T>(&self, rows: impl IntoIterator<Item = Result<T, StoreError>>) -> Result<Vec<T>, StoreError> {
        let mut readable = Vec::new();
        for row in rows {
            match row {
                Ok(row) => readable.push(row),
                Err(StoreError::Unreadable(row)) => self.note(&row),
                Err(error) => return Err(error),
            }
        }
        Ok(readable)
    }

    /// Reports the row that an error names, and hands the error on.
    pub(super) fn noted<T>(&self, read: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::Unreadable(row)) = &read {
            self.note(row);
        }
        read
    }

    /// How many rows of each table could not be read.
    pub(super) fn counts(&self) -> Vec<(&'static str, usize)> {
        let seen = lock(&self.seen);
        seen.iter().map(|(table, keys)| (*table, keys.len())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: usize) -> UnreadableRow {
        UnreadableRow { table: "shelf", key: key.to_string(), column: "reason".into() }
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_counted_once() {
        let rows = UnreadableRows::default();
        for _ in 0..2 {
            let read = rows.skip([Ok(1), Err(StoreError::Unreadable(row(7))), Ok(2)]);
            assert_eq!(read.unwrap(), [1, 2]);
        }
        assert_eq!(rows.counts(), [("shelf", 1)]);
        assert!(matches!(rows.skip::<u8>([Err(StoreError::Closed)]), Err(StoreError::Closed)));
    }

    #[test]
    fn memory_is_bounded() {
        let rows = UnreadableRows::default();
        (0..=MOST_ROWS).for_each(|key| rows.note(&row(key)));
        assert_eq!(rows.counts(), [("shelf", 1)]);
    }
}
