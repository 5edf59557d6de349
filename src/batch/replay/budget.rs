//! Spreads the batches of a replay over time, as far as a person has limited their rate.

/// The part of a minute whose batches may be started at once.
const BURST_MS: i64 = 2_000;

/// How many batches may be started, at a rate per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    per_minute: u32,
    /// In millionths of a batch, so that no time is lost by rounding.
    saved: i64,
    /// When it was last counted, in milliseconds.
    at: i64,
}

const WHOLE: i64 = 60_000;

impl Budget {
    /// Begins at a time in milliseconds, with one batch.
    pub fn new(per_minute: u32, now: i64) -> Self {
        Self { per_minute: per_minute.max(1), saved: WHOLE, at: now }
    }

    /// Returns how many batches may be started at `now`.
    pub fn available(&mut self, now: i64) -> u64 {
        let passed = now.saturating_sub(self.at).clamp(0, WHOLE);
        self.at = self.at.max(now);
        let most = (i64::from(self.per_minute) * BURST_MS).max(WHOLE);
        self.saved = (self.saved + passed * i64::from(self.per_minute)).min(most);
        u64::try_from(self.saved / WHOLE).unwrap_or(0)
    }

    /// Returns how many milliseconds after the time that was last counted another batch may be started.
    pub fn wait_ms(&self) -> u64 {
        let missing = u64::try_from(WHOLE - self.saved).unwrap_or(0);
        missing.div_ceil(u64::from(self.per_minute))
    }

    /// Takes what is about to be started.
    pub fn spend(&mut self, batches: u64) {
        self.saved -= WHOLE * i64::try_from(batches).unwrap_or(0);
    }

    /// Returns what was taken for one batch that was not started.
    pub fn give_back(&mut self) {
        self.saved += WHOLE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_a_long_time_as_many_start_as_the_rate_allows() {
        for (rate, expected) in [(1, 10), (60, 600), (600, 6_000), (90, 900)] {
            let (mut budget, mut started) = (Budget::new(rate, 0), 0);
            for tick in 0..600_u32 {
                let now = i64::from(tick) * 1_000;
                let available = budget.available(now);
                budget.spend(available);
                started += available;
            }
            assert!((expected * 99 / 100 - 1..=expected + 20).contains(&started), "{rate}: {started}");
        }
    }

    #[test]
    fn what_was_not_started_can_be_started_later_and_no_more() {
        let mut budget = Budget::new(60, 0);
        assert_eq!(budget.available(1_000), 2);
        budget.spend(2);
        assert_eq!(budget.available(1_000), 0);
        budget.give_back();
        assert_eq!(budget.available(1_000), 1);
        assert_eq!(budget.available(3_600_000), 2);
    }

    #[test]
    fn it_says_how_long_to_wait_for_the_next_batch() {
        for (rate, wait) in [(1, 60_000), (60, 1_000), (90, 667), (6_000, 10)] {
            let mut budget = Budget::new(rate, 0);
            assert_eq!((budget.available(0), budget.wait_ms()), (1, 0), "{rate}");
            budget.spend(1);
            assert_eq!((budget.available(0), budget.wait_ms()), (0, wait), "{rate}");
            let wait = i64::try_from(wait).unwrap();
            assert_eq!(budget.available(wait - 1), 0, "{rate}");
            assert_eq!(budget.available(wait), 1, "{rate}");
        }
    }

    #[test]
    fn what_was_not_used_is_not_saved_up() {
        let mut budget = Budget::new(60, 0);
        assert_eq!(budget.available(0), 1);
        assert_eq!(budget.available(3_600_000), 2);
        budget.spend(2);
        assert_eq!(budget.available(3_600_000), 0);
        assert_eq!(budget.available(3_601_000), 1);
        assert_eq!(budget.available(3_600_000), 1, "a clock that goes back takes nothing away");
    }
}
