//! Remembers which ids an account answered with lately, so that no id is taken for two cases.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use crate::guard::lock;

/// The most accounts that are remembered. Beyond it all are forgotten, which costs longer reads only.
const MOST_ACCOUNTS: usize = 100;
/// The most ranges of ids that are remembered of an account: those of requests that can be under way at once.
const MOST_RANGES: usize = 64;

/// Ranges of ids by account, each with its first and last id.
#[derive(Debug, Default)]
pub(in crate::worker) struct AnsweredIds(Mutex<HashMap<String, BTreeMap<u64, u64>>>);

impl AnsweredIds {
    /// Takes ids of an account for new cases, and returns those that were taken for other cases before.
    pub(in crate::worker) fn take(&self, account: &str, ids: &[u64]) -> Vec<u64> {
        let mut accounts = lock(&self.0);
        if accounts.len() >= MOST_ACCOUNTS && !accounts.contains_key(account) {
            accounts.clear();
        }
        let answered = accounts.entry(account.to_owned()).or_default();
        let is_taken =
            |ranges: &BTreeMap<u64, u64>, id: u64| ranges.range(..=id).next_back().is_some_and(|(_, last)| *last >= id);
        let taken: Vec<u64> = ids.iter().copied().filter(|id| is_taken(answered, *id)).collect();
        let mut free: Vec<u64> = ids.iter().copied().filter(|id| !taken.contains(id)).collect();
        free.sort_unstable();
        for range in free.chunk_by(|one, next| *next == one + 1) {
            if let (Some(first), Some(last)) = (range.first(), range.last()) {
                answered.insert(*first, *last);
            }
        }
        while answered.len() > MOST_RANGES {
            answered.pop_first();
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_for_one_case_only() {
        let ids = AnsweredIds::default();
        assert_eq!(ids.take("https://acme.testmo.net", &[3, 1, 2, 9]), [0_u64; 0]);
        assert_eq!(ids.take("https://acme.testmo.net", &[4, 2, 9, 8]), [2, 9]);
        assert_eq!(ids.take("https://acme.testmo.net", &[8, 5]), [8], "it was free the time before");
        assert_eq!(ids.take("https://oak.testmo.net", &[1, 2]), [0_u64; 0], "another account");
    }

    #[test]
    fn memory_is_bounded() {
        let ids = AnsweredIds::default();
        let ranges = || ids.0.lock().unwrap()["https://acme.testmo.net"].len();
        ids.take("https://acme.testmo.net", &[3, 1, 2, 5, 4]);
        assert_eq!(ranges(), 1, "ids without a gap are one range");
        (0..2 * MOST_RANGES as u64).for_each(|id| drop(ids.take("https://acme.testmo.net", &[100 + 2 * id])));
        assert_eq!(ranges(), MOST_RANGES);
    }

    #[test]
    fn all_accounts_are_forgotten_once_another_one_is_too_many() {
        let ids = AnsweredIds::default();
        let is_taken = |account: usize| !ids.take(&format!("https://a{account}.testmo.net"), &[7]).is_empty();
        assert!((0..MOST_ACCOUNTS).all(|account| !is_taken(account)));
        assert!((0..MOST_ACCOUNTS).all(is_taken), "an account that is known is not too many");
        assert!(!is_taken(MOST_ACCOUNTS) && !is_taken(0) && is_taken(0));
    }
}
