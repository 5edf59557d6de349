//! Estimates how long the requests of a plan take.

use super::model::PlannedRequests;
use crate::app::request_time::{FIRST_GUESS_MS, median};

/// Returns the seconds that requests take, by how long the last ones to the account took, in milliseconds. Those for cases that
/// exist go one after the other; those that create cases go side by side, `at_once`.
pub(super) fn seconds(requests: &PlannedRequests, times: Vec<i64>, at_once: u32) -> u64 {
    let request = median(times).unwrap_or(FIRST_GUESS_MS);
    let alone = requests.reads + requests.updates + requests.removals;
    let together = requests.creates.div_ceil(usize::try_from(at_once.max(1)).unwrap_or(1));
    u64::try_from(alone + together).unwrap_or(u64::MAX).saturating_mul(request).div_ceil(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_creating_goes_side_by_side() {
        let requests = |reads, creates, updates| PlannedRequests { reads, creates, updates, removals: 1 };
        for (requests, times, at_once, expected) in [
            (requests(0, 0, 0), vec![], 1, 1),
            (requests(10, 0, 100), vec![], 4, 23),
            (requests(10, 0, 100), vec![500, 1_000, 9_000], 4, 111),
            (requests(0, 8, 0), vec![1_000], 4, 3),
            (requests(0, 8, 0), vec![1_000], 0, 9),
        ] {
            assert_eq!(seconds(&requests, times, at_once), expected, "{requests:?}");
        }
    }
}
