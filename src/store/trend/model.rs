//! The values of the trend: what is counted, and how wide the steps are and for how long they are kept.

/// The width of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// Five minutes.
    Fine,
    /// One hour.
    Coarse,
}

/// What happened in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many batches were delivered.
    pub delivered: u64,
    /// How many times a batch came to need a person.
    pub failed: u64,
    /// How many batches waited on the shelf to be retried automatically, at most.
    pub waiting: u64,
}

/// What a worker adds to the trend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The name of the worker, which no other one has.
    pub source: String,
    /// Which of the worker's additions this is: a later one has a larger number.
    pub number: u64,
    /// When it was counted, in milliseconds on the store's clock.
    pub at: i64,
    /// What was counted.
    pub counts: Counts,
}

/// A step in which something was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrendStep {
    /// When it began, in milliseconds on the store's clock.
    pub began_at: i64,
    /// What happened in it.
    pub counts: Counts,
}

impl Width {
    /// Every width.
    pub const ALL: [Self; 2] = [Self::Fine, Self::Coarse];

    /// Returns the width in milliseconds.
    pub fn ms(self) -> i64 {
        match self {
            Self::Fine => 300_000,
            Self::Coarse => 3_600_000,
        }
    }

    /// Returns for how long steps are kept, in milliseconds.
    pub fn kept_ms(self) -> i64 {
        match self {
            Self::Fine => 86_400_000,
            Self::Coarse => 30 * 86_400_000,
        }
    }

    /// Returns when the step begins in which a time lies; both are in milliseconds on the store's clock.
    pub fn begin_of(self, at: i64) -> i64 {
        at.saturating_sub(at.rem_euclid(self.ms()))
    }
}

impl Counts {
    /// Returns both together: what happened is added, and of what waited the larger number counts.
    pub fn and(self, other: Self) -> Self {
        Self {
            delivered: self.delivered.saturating_add(other.delivered),
            failed: self.failed.saturating_add(other.failed),
            waiting: self.waiting.max(other.waiting),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_lies_in_one_step_of_each_width() {
        for width in Width::ALL {
            for at in [0, 1, width.ms() - 1] {
                assert_eq!(width.begin_of(at), 0);
            }
            assert_eq!(width.begin_of(width.ms()), width.ms());
            assert_eq!(width.begin_of(-1), -width.ms());
            assert_eq!(width.kept_ms() % width.ms(), 0);
        }
        assert_eq!(Width::Coarse.ms() % Width::Fine.ms(), 0, "no fine step lies in two coarse ones");
    }
}
