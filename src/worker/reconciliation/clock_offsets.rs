//! Remembers how far the creation times of an account's cases are from the clock of the account.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::batch::ledger::reconcile::CLOCK_MARGIN_MS;
use crate::guard::lock;

/// The most accounts that are remembered. Beyond it all are forgotten, which costs longer reads only.
const MOST_ACCOUNTS: usize = 100;

/// Offsets in milliseconds, by account.
#[derive(Debug, Default)]
pub(in crate::worker) struct ClockOffsets(Mutex<HashMap<String, i64>>);

impl ClockOffsets {
    /// Returns the offset of an account in milliseconds, if it is known.
    pub(in crate::worker) fn get(&self, account: &str) -> Option<i64> {
        lock(&self.0).get(account).copied()
    }

    /// Remembers the offset of an account in milliseconds; the first note counts.
    pub(in crate::worker) fn note(&self, account: &str, offset: i64) {
        let mut offsets = lock(&self.0);
        if offsets.contains_key(account) {
            return;
        }
        if offsets.len() >= MOST_ACCOUNTS {
            offsets.clear();
        }
        offsets.insert(account.to_owned(), offset);
        if offset.abs() > CLOCK_MARGIN_MS {
            let minutes = offset / 60_000;
            tracing::warn!(
                account,
                minutes,
                "Testmo's creation times differ from its clock, as with another time zone"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_offset_of_an_account_counts() {
        let offsets = ClockOffsets::default();
        assert_eq!(offsets.get("https://acme.testmo.net"), None);
        offsets.note("https://acme.testmo.net", -18_000_000);
        offsets.note("https://acme.testmo.net", 0);
        assert_eq!(offsets.get("https://acme.testmo.net"), Some(-18_000_000));
    }
}
