//! Remembers how far the creation times of an account's cases are from the clock of the account.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::batch::ledger::reconcile::{CLOCK_MARGIN_MS, ZONE_MARGIN_MS};
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

    /// Remembers the offset of an account in milliseconds. The lowest one counts, since it makes reconciliation read the
    /// most; one that no time zone explains shows a wrong `Date`, and is not believed.
    pub(in crate::worker) fn note(&self, account: &str, offset: i64) {
        if offset.abs() > ZONE_MARGIN_MS + CLOCK_MARGIN_MS {
            tracing::debug!(account, offset, "Testmo's creation times and its clock differ by more than time zones do");
            return;
        }
        let mut offsets = lock(&self.0);
        let known = offsets.get(account).copied();
        // Clocks and requests differ by moments all the time.
        if known.is_some_and(|known| known - offset <= CLOCK_MARGIN_MS) {
            return;
        }
        if known.is_none() && offsets.len() >= MOST_ACCOUNTS {
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
    fn the_lowest_offset_of_an_account_counts_if_a_time_zone_explains_it() {
        let offsets = ClockOffsets::default();
        let after = |offset| {
            offsets.note("https://acme.testmo.net", offset);
            offsets.get("https://acme.testmo.net")
        };
        assert_eq!(after(86_400_000), None, "a Date of yesterday");
        assert_eq!(after(3_600_000), Some(3_600_000), "a Date of an hour ago");
        assert_eq!(after(-18_000_000), Some(-18_000_000));
        assert_eq!(after(0), Some(-18_000_000));
        assert_eq!(after(-18_000_500), Some(-18_000_000), "moments make no difference");
        assert_eq!(after(-86_400_000), Some(-18_000_000), "a Date of tomorrow");
    }

    #[test]
    fn an_offset_is_believed_up_to_the_widest_time_zone_and_the_drift_of_clocks() {
        let offsets = ClockOffsets::default();
        let widest = ZONE_MARGIN_MS + CLOCK_MARGIN_MS;
        for (account, offset, expected) in [
            ("a", widest, Some(widest)),
            ("b", widest + 1, None),
            ("c", -widest, Some(-widest)),
            ("d", -widest - 1, None),
        ] {
            offsets.note(account, offset);
            assert_eq!(offsets.get(account), expected);
        }
    }

    #[test]
    fn all_accounts_are_forgotten_once_another_one_is_too_many() {
        let offsets = ClockOffsets::default();
        let known = |account: usize| offsets.get(&account.to_string()).is_some();
        (0..MOST_ACCOUNTS).for_each(|account| offsets.note(&account.to_string(), 0));
        offsets.note("0", -2 * CLOCK_MARGIN_MS);
        assert!((0..MOST_ACCOUNTS).all(known), "an account that is known is not too many");
        offsets.note("another", 0);
        assert!(!(0..MOST_ACCOUNTS).any(known) && offsets.get("another").is_some());
    }
}
