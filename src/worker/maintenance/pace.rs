//! Decides how large the steps of background work are and how long others have the store between them.

use std::time::Duration;

/// How long the transaction of a step should take: other changes wait for it.
const STEP: Duration = Duration::from_millis(40);
/// How long it should take where nothing is urgent and each row costs much.
const SMALL_STEP: Duration = Duration::from_millis(6);
/// The fewest and the most batches and events of a step.
const FEWEST: u32 = 50;
const MOST: u32 = 2_000;
/// The shortest pause between two steps.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause after a step that people wait for.
const LONGEST_EVEN_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause after such a step while others are in a hurry.
const LONGEST_YIELDING_PAUSE: Duration = Duration::from_millis(750);

/// The size of the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// The most batches and events of the next step.
    pub(super) most: u32,
    /// How long a step should take.
    step: Duration,
    /// The fewest batches and events of a step.
    fewest: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { most: 4 * FEWEST, step: STEP, fewest: FEWEST }
    }
}

impl Pace {
    /// Returns the pace of work that is never urgent.
    pub(super) fn small() -> Self {
        Self { most: FEWEST, step: SMALL_STEP, fewest: 10 }
    }

    /// Returns the pace after a step whose transaction took some time.
    #[must_use]
    pub(super) fn after(self, took: Duration) -> Self {
        let most = if took > self.step * 2 {
            self.most / 2
        } else if took < self.step / 2 {
            self.most * 2
        } else {
            self.most
        };
        Self { most: most.clamp(self.fewest, MOST), ..self }
    }

    /// Returns the pause after a step whose transaction took some time: half as long, so that pruning has at most two
    /// thirds of the time, and what waits has its turn after each step.
    pub(super) fn pause(took: Duration) -> Duration {
        (took / 2).max(SHORTEST_PAUSE)
    }

    /// Returns the pause after a step that people wait for: as long as it took, so that it has at most half of the time, but
    /// not so long that it is noticed.
    pub(super) fn even_pause(took: Duration) -> Duration {
        took.clamp(SHORTEST_PAUSE, LONGEST_EVEN_PAUSE)
    }

    /// Returns the pause after a step that people wait for while others are in a hurry: three times as long as it took.
    pub(super) fn yielding_pause(took: Duration) -> Duration {
        (took * 3).clamp(SHORTEST_PAUSE, LONGEST_YIELDING_PAUSE)
    }

    /// Returns the pause after a step of work that is never urgent: nine times as long, so that a tenth of the time is used.
    pub(super) fn long_pause(took: Duration) -> Duration {
        (took * 9).max(SHORTEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_short_and_shrink_while_they_are_long() {
        let ms = Duration::from_millis;
        for (most, took, next) in [
            (200, 5, 400),
            (200, 20, 200),
            (200, 80, 200),
            (200, 81, 100),
            (1_500, 5, 2_000),
            (60, 500, 50),
            (50, 500, 50),
        ] {
            let pace = |most| Pace { most, ..Pace::default() };
            assert_eq!(pace(most).after(ms(took)), pace(next), "{most} in {took} ms");
        }
        for (took, next) in [(2, 100), (5, 50), (12, 50), (13, 25), (400, 25)] {
            assert_eq!(Pace::small().after(ms(took)).most, next, "{took} ms");
        }
        assert_eq!([0, 10].map(|took| Pace::long_pause(ms(took))), [ms(5), ms(90)]);
        assert_eq!([0, 10, 3_000].map(|took| Pace::yielding_pause(ms(took))), [ms(5), ms(30), ms(750)]);
        assert_eq!([0, 10, 3_000].map(|took| Pace::even_pause(ms(took))), [ms(5), ms(10), ms(250)]);
        assert_eq!([0, 9, 40, 3_000].map(|took| Pace::pause(ms(took))), [ms(5), ms(5), ms(20), ms(1_500)]);
    }
}
