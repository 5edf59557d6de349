//! Spreads the start of many entries over time, so that other batches have their turns in between.

use std::time::Duration;

use super::super::pace::Pace;

/// How many entries are started together while no others come, so that their changes share transactions.
const ALONE: usize = 50;
/// How many are started together, between two pauses, while others come.
const BESIDE_OTHERS: usize = 10;
/// How long others go first at least: 30 entries are started in a second. Most of what an entry costs comes after its start.
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

    /// Returns how many entries are started together, now that the worker has taken so many other batches.
    pub(super) fn size(&self, others: u64) -> usize {
        if self.others == others { ALONE } else { BESIDE_OTHERS }
    }

    /// Adds entries and how long it took to start them; returns for how long others go first, if any came and there are enough
    /// entries.
    pub(super) fn pause_after(&mut self, entries: usize, took: Duration, others: u64) -> Option<Duration> {
        self.entries += entries;
        self.took += took;
        if self.entries < BESIDE_OTHERS || self.others == others {
            return None;
        }
        let before = std::mem::replace(self, Self::new(others));
        Some(Pace::yielding_pause(before.took).max(YIELDS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_go_first_after_each_portion_while_there_are_any() {
        let ms = Duration::from_millis;
        let mut portion = Portion::new(7);
        let mut add = |entries, took, others| (portion.size(others), portion.pause_after(entries, ms(took), others));
        assert_eq!([add(9, 20, 7), add(40, 10, 7)], [(50, None); 2], "nobody else is there");
        assert_eq!([add(1, 10, 8), add(9, 50, 9)], [(10, Some(ms(320))), (10, None)]);
        assert_eq!([add(10, 150, 10), add(50, 10, 10)], [(10, Some(ms(600))), (50, None)]);
    }
}
