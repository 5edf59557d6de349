//! Decides how long work that grows with the store rests, so that it takes a small share of the time.

use std::time::Duration;

use tokio::time::Instant;

/// How many times as long as it took a piece of work rests: it then takes at most 1 % of the time.
const TIMES: u32 = 100;

/// When a piece of work is due again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    period: Duration,
    until: Option<Instant>,
}

impl Rest {
    /// Returns the rest of work that is due now, and then every `period` at most.
    pub(super) fn new(period: Duration) -> Self {
        Self { period, until: None }
    }

    /// Returns whether the work is due.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// Begins the rest of work that ends now and has taken some time.
    pub(super) fn begin(&mut self, now: Instant, took: Duration) {
        // A tick of a period must not miss it by the time that the work took.
        self.until = Some(now + self.period.saturating_sub(took).max(took * TIMES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_rests_for_its_period_and_a_hundred_times_as_long_as_it_took() {
        let ms = Duration::from_millis;
        for (period, took, pause) in
            [(2_000, 0, 2_000), (2_000, 10, 1_990), (2_000, 200, 20_000), (30_000, 5_000, 500_000)]
        {
            let now = Instant::now();
            let mut rest = Rest::new(ms(period));
            assert!(rest.is_over(now), "the first time is due at once");
            rest.begin(now, ms(took));
            assert!(!rest.is_over(now + ms(pause) - ms(1)), "{period} {took}");
            assert!(rest.is_over(now + ms(pause)), "{period} {took}");
        }
    }
}
