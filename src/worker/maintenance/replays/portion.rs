//! Spreads the start of many entries over time, so that other batches have their turns in between.

use std::time::Duration;

use super::super::pace::Pace;

/// How many entries are started between two pauses.
const ENTRIES: usize = 10;

/// How long others go first at least, while there are any: 30 entries are started in a second. Most of what an entry costs
/// comes after its start.
const YIELDS: Duration = Duration::from_millis(320);

/// The entries that were started since the last pause.
#[derive(Debug)]
pub(super) struct Portion {
    entries: usize,
    took: Duration,
    /// How many other batches the worker had taken then.
    others: u64,
}

impl Portion {
    /// Begins when the worker has taken so many other batches.
    pub(super) fn new(others: u64) -> Self {
        Self { entries: 0, took: Duration::ZERO, others }
    }

    /// Adds entries and how long it took to start them. Once there are enough, returns for how long others go first: for
    /// longer while the worker takes any.
    pub(super) fn pause_after(&mut self, entries: usize, took: Duration, others: u64) -> Option<Duration> {
        self.entries += entries;
        self.took += took;
        if self.entries < ENTRIES {
            return None;
        }
        let before = std::mem::replace(self, Self::new(others));
        Some(match before.others == others {
            true => Pace::pause(before.took),
            false => Pace::yielding_pause(before.took).max(YIELDS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_go_first_after_each_portion_and_longer_while_there_are_any() {
        let ms = Duration::from_millis;
        let mut portion = Portion::new(7);
        let mut add = |entries, took, others| portion.pause_after(entries, ms(took), others);
        assert_eq!([add(4, 20, 7), add(5, 10, 8), add(1, 6, 9), add(9, 50, 9)], [None, None, Some(ms(320)), None]);
        assert_eq!([add(10, 10, 9), add(10, 20, 9), add(10, 150, 10)], [Some(ms(30)), Some(ms(10)), Some(ms(450))]);
    }
}
