//! Decides how many batches of one cause may be tried at once: first a few one at a time, then twice as many again and
//! again while they succeed, and none once they fail.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// The most batches that are tried one at a time.
const LONGEST_CANARY: u64 = 10;
/// One of so many batches is part of the canary.
const CANARY_PART: u64 = 20;
/// So many are started at most until as many outcomes are known.
const FIRST: u64 = 20;
/// How many of the last outcomes count.
const LAST: usize = 100;
/// One of so many may fail.
const FAILURES: usize = 20;
/// The most batches under way at once.
const MOST_UNDER_WAY: u64 = 200;

/// What is known of a part of a replay since it was started or resumed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    /// How many batches the part has, from which the size of the canary follows.
    batches: u64,
    /// How many outcomes are known that show something.
    known: u64,
    /// The last of them, the newest at the end.
    last: VecDeque<bool>,
    /// Whether too many failed.
    stopped: bool,
}

/// Why a part of a replay stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A batch of the canary failed.
    Canary,
    /// So many of the last so many failed.
    Failures {
        /// How many failed.
        failed: usize,
        /// Of how many.
        of: usize,
    },
}

impl Window {
    /// Begins with a canary, for a part of so many batches.
    pub fn new(batches: u64) -> Self {
        Self { batches, ..Self::default() }
    }

    /// Returns how many batches are tried one at a time before others.
    pub fn canary(batches: u64) -> u64 {
        batches.div_ceil(CANARY_PART).clamp(1, LONGEST_CANARY)
    }

    /// Returns whether the part is still in its canary.
    pub fn is_canary(&self) -> bool {
        self.known < Self::canary(self.batches)
    }

    /// Returns whether too many failed.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Returns how many more may be started while so many are under way.
    pub fn allowed(&self, under_way: u64) -> u64 {
        if self.stopped {
            return 0;
        }
        if self.is_canary() {
            return 1_u64.saturating_sub(under_way);
        }
        let most = if self.known < FIRST { self.known.min(FIRST - self.known) } else { self.known };
        most.min(MOST_UNDER_WAY).saturating_sub(under_way)
    }

    /// Notes whether a batch succeeded; returns why the part stops, if it does now.
    pub fn note(&mut self, succeeded: bool) -> Option<Stop> {
        let was_canary = self.is_canary();
        self.known += 1;
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(succeeded);
        if succeeded || self.stopped {
            return None;
        }
        let (failed, of) = (self.last.iter().filter(|succeeded| !**succeeded).count(), self.last.len());
        let stop = match was_canary {
            true => Stop::Canary,
            false if failed > (of / FAILURES).max(1) => Stop::Failures { failed, of },
            false => return None,
        };
        self.stopped = true;
        Some(stop)
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Canary => f.write_str("one of the first batches, which are tried one at a time, failed again"),
            Self::Failures { failed, of } => write!(f, "{failed} of the last {of} batches failed again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs a part whose batches succeed as `succeeds` says for each; returns the rounds: how many were started in each.
    fn rounds(batches: u64, succeeds: impl Fn(u64) -> bool) -> (Vec<u64>, Option<Stop>) {
        let (mut window, mut rounds, mut started) = (Window::new(batches), Vec::new(), 0);
        while started < batches {
            let round = window.allowed(0).min(batches - started);
            if round == 0 {
                return (rounds, None);
            }
            rounds.push(round);
            for _ in 0..round {
                started += 1;
                if let Some(stop) = window.note(succeeds(started)) {
                    return (rounds, Some(stop));
                }
            }
        }
        (rounds, None)
    }

    #[test]
    fn a_canary_goes_first_and_then_twice_as_many_each_time() {
        assert_eq!(rounds(1, |_| true).0, [1]);
        assert_eq!(rounds(20, |_| true).0, [1, 1, 2, 4, 8, 4]);
        let (of_500, stop) = rounds(500, |_| true);
        assert_eq!((&of_500[..10], stop), (&[1; 10][..], None));
        assert_eq!(of_500[10..], [10, 20, 40, 80, 160, 180]);
        assert_eq!(rounds(1_000, |_| true).0.into_iter().max(), Some(MOST_UNDER_WAY));
    }

    #[test]
    fn any_failure_in_the_canary_stops_it() {
        assert_eq!(rounds(500, |_| false), (vec![1], Some(Stop::Canary)));
        assert_eq!(rounds(500, |n| n != 10).1, Some(Stop::Canary));
        assert_eq!(rounds(500, |n| n != 11).1, None, "one of the next may fail");
    }

    #[test]
    fn more_than_five_of_the_last_hundred_stop_it() {
        let (_, stop) = rounds(2_000, |n| n <= 500);
        assert_eq!(stop, Some(Stop::Failures { failed: 6, of: 100 }));
        assert_eq!(rounds(2_000, |n| n % 20 != 0).1, None);
        assert!(rounds(2_000, |n| n % 10 != 0 || n < 100).1.is_some());
    }

    #[test]
    fn a_stopped_part_starts_nothing_until_it_begins_again() {
        let mut window = Window::new(40);
        assert!(window.note(false).is_some());
        assert_eq!((window.allowed(0), window.is_stopped()), (0, true));
        assert_eq!(window.note(true), None);
        assert_eq!(window.allowed(0), 0);
        assert_eq!(Window::new(40).allowed(0), 1);
        assert_eq!(Window::new(40).allowed(1), 0);
    }

    proptest! {
        /// Whatever the order of starts and outcomes: where nothing was fixed, few are tried.
        #[test]
        fn few_are_tried_where_nothing_was_fixed_and_at_most_twenty_until_as_many_outcomes_are_known(
            batches in 1..5_000_u64, good in 0..20_u64, eager in any::<bool>()
        ) {
            let (mut window, mut started, mut known) = (Window::new(batches), 0_u64, 0_u64);
            loop {
                let more = window.allowed(started - known).min(batches - started);
                started += more;
                if more > 0 && eager {
                    continue;
                }
                if known == started {
                    break;
                }
                known += 1;
                window.note(known <= good);
                prop_assert!(known >= FIRST || started <= FIRST, "{} started, {} known", started, known);
            }
            if good < Window::canary(batches) {
                prop_assert_eq!(started, (good + 1).min(batches));
            }
            prop_assert!(started <= 2 * FIRST, "{} started", started);
        }
    }
}
