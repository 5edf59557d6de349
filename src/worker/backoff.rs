//! Computes the pause before the next attempt: exponential backoff with full jitter.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

use crate::config::Retry;

/// Returns the pause after `tries` failed attempts, between zero and a bound that doubles with each attempt.
pub(super) fn pause(config: &Retry, tries: u32) -> Duration {
    let bound = config.backoff_min.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1).min(20)));
    // An interval with a randomization of 1 lies between nothing and twice itself.
    let interval = bound.min(config.backoff_max) / 2;
    let mut schedule =
        ExponentialBackoff { current_interval: interval, randomization_factor: 1.0, ..ExponentialBackoff::default() };
    schedule.next_backoff().unwrap_or(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_below_a_bound_that_doubles() {
        let config = crate::config::load(&crate::config::Sources::default()).unwrap().retry;
        for (tries, bound) in [(1, 1), (2, 2), (3, 4), (6, 30), (40, 30)] {
            let pauses: Vec<Duration> = (0..200).map(|_| pause(&config, tries)).collect();
            let bound = Duration::from_secs(bound);
            assert!(pauses.iter().all(|pause| *pause <= bound), "attempt {tries}");
            assert!(pauses.iter().any(|pause| *pause < bound / 8) && pauses.iter().any(|pause| *pause > bound * 7 / 8));
        }
    }
}
