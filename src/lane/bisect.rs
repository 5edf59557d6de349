//! Which case does Testmo mean when it refuses a whole request? Half of it is sent next, then half of that.

/// The state of a tenant's search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bisect {
    /// The most cases in the next request.
    limit: usize,
    most: usize,
    refusals: u32,
}

impl Bisect {
    pub(super) fn new(most: usize) -> Self {
        Self { limit: most, most, refusals: 0 }
    }

    /// The most cases in the next request.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many requests in a row were refused as a whole.
    pub(super) fn refusals(&self) -> u32 {
        self.refusals
    }

    /// Whether a search is on: then requests go one after the other, as each depends on the one before.
    pub(super) fn is_on(&self) -> bool {
        self.limit < self.most
    }

    /// Cases arrived.
    pub(super) fn created(&mut self) {
        self.refusals = 0;
        self.widen();
    }

    /// A request of `sent` cases was refused as a whole.
    pub(super) fn refused(&mut self, sent: usize) {
        self.refusals += 1;
        if sent > 1 {
            self.limit = (sent / 2).max(1);
        } else {
            // The one to blame is found.
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
    use crate::batch::verdict::most_refusals;

    proptest! {
        #[test]
        fn the_bad_cases_are_found_alone_and_never_taken_for_a_bad_connection(
            cases in 1usize..150, bad in proptest::collection::btree_set(0usize..150, 1..3),
        ) {
            let mut bisect = Bisect::new(100);
            let (mut waiting, mut refused): (Vec<usize>, Vec<usize>) = ((0..cases).collect(), vec![]);
            let mut requests = 0;
            while !waiting.is_empty() {
                requests += 1;
                let sent = waiting.len().min(bisect.limit());
                let hit = waiting[..sent].iter().any(|case| bad.contains(case));
                prop_assert!(!hit || bisect.refusals() < most_refusals(100));
                if hit {
                    bisect.refused(sent);
                    if sent == 1 {
                        refused.push(waiting.remove(0));
                    }
                } else {
                    bisect.created();
                    waiting.drain(..sent);
                }
            }
            prop_assert_eq!(refused, bad.into_iter().filter(|case| *case < cases).collect::<Vec<_>>());
            prop_assert!(requests <= 60, "{} requests", requests);
        }
    }
}
