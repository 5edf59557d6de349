//! Finds the case that made Testmo refuse a whole request, by sending half of the request next, then half of that.

use crate::batch::verdict::most_refusals;

/// The state of a tenant's search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bisect {
    /// The most cases in the next request.
    limit: usize,
    most: usize,
    refusals: u32,
    /// The most cases of a refused request since cases last arrived.
    largest: usize,
}

impl Bisect {
    pub(super) fn new(most: usize) -> Self {
        Self { limit: most, most, refusals: 0, largest: 0 }
    }

    /// Returns the most cases in the next request.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns whether one more refusal of a request of `sent` cases is too many for one bad case or two.
    pub(super) fn is_exhausted_by(&self, sent: usize) -> bool {
        self.refusals + 1 >= most_refusals(self.largest.max(sent))
    }

    /// Returns whether a search is on: then requests go one after the other, as each depends on the one before.
    pub(super) fn is_on(&self) -> bool {
        self.limit < self.most
    }

    /// Records that cases were created.
    pub(super) fn created(&mut self) {
        (self.refusals, self.largest) = (0, 0);
        self.widen();
    }

    /// Records that a request of `sent` cases was refused as a whole. `counts` is false if the cases are certainly at
    /// fault themselves, such as when they are too large.
    pub(super) fn refused(&mut self, sent: usize, counts: bool) {
        if counts {
            self.refusals += 1;
            self.largest = self.largest.max(sent);
        }
        if sent > 1 {
            self.limit = (sent / 2).max(1);
        } else {
            // The case at fault is found.
            self.widen();
        }
    }

    fn widen(&mut self) {
        self.limit = (self.limit * 2).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_is_halved_by_refusals_and_doubled_by_everything_that_is_known() {
        let mut bisect = Bisect::new(100);
        let limits: Vec<usize> = [100, 50, 8]
            .into_iter()
            .map(|sent| {
                bisect.refused(sent, true);
                bisect.limit()
            })
            .collect();
        assert_eq!(limits, [50, 25, 4]);
        bisect.created();
        assert_eq!(bisect.limit(), 8);
        bisect.refused(1, true);
        assert_eq!(bisect.limit(), 16, "the case at fault is found");
    }

    #[test]
    fn when_every_request_is_refused_it_is_the_connection() {
        for count in 2..=100 {
            let (mut bisect, mut waiting, mut requests) = (Bisect::new(100), count, 1);
            while !bisect.is_exhausted_by(bisect.limit().min(waiting)) {
                let sent = bisect.limit().min(waiting);
                bisect.refused(sent, true);
                waiting -= usize::from(sent == 1);
                requests += 1;
            }
            assert_eq!(requests, most_refusals(count));
        }
    }

    #[test]
    fn cases_that_are_too_large_are_never_the_connections_fault() {
        let mut bisect = Bisect::new(100);
        for _ in 0..50 {
            assert!(!bisect.is_exhausted_by(100));
            bisect.refused(100, false);
        }
    }

    proptest! {
        #[test]
        fn a_bad_case_is_found_alone_and_never_taken_for_a_bad_connection(cases in 1usize..150, bad in 0usize..150) {
            let mut bisect = Bisect::new(100);
            let (mut waiting, mut refused): (Vec<usize>, Vec<usize>) = ((0..cases).collect(), vec![]);
            let mut requests = 0;
            while !waiting.is_empty() {
                requests += 1;
                let sent = waiting.len().min(bisect.limit());
                let hit = waiting[..sent].contains(&bad);
                prop_assert!(!hit || !bisect.is_exhausted_by(sent));
                if hit {
                    bisect.refused(sent, true);
                    if sent == 1 {
                        refused.push(waiting.remove(0));
                    }
                } else {
                    bisect.created();
                    waiting.drain(..sent);
                }
            }
            prop_assert_eq!(refused, (0..cases).filter(|case| *case == bad).collect::<Vec<_>>());
            prop_assert!(requests <= 60, "{} requests", requests);
        }
    }
}
