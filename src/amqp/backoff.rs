//! Computes the wait before the next connection attempt.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The shortest wait after a peer that accepted the connection and then did not answer: lapin keeps a thread for each
/// such attempt until the peer closes the socket.
const FROZEN_PEER: Duration = Duration::from_secs(30);

/// A growing wait with full jitter between `min` and the doubled ceiling, at most `max`.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    attempt: u32,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), attempt: 0 }
    }

    /// Returns the wait after another failure; `random` lies in 0.0 to 1.0.
    pub(super) fn after_failure(&mut self, random: f64) -> Duration {
        self.attempt = self.attempt.saturating_add(1);
        let doubled = self.min.saturating_mul(2_u32.saturating_pow(self.attempt.min(20)));
        let ceiling = doubled.min(self.max);
        self.min + (ceiling - self.min).mul_f64(random.clamp(0.0, 1.0))
    }

    /// Returns the wait after a connection attempt that reached its time limit.
    pub(super) fn after_silence(&mut self, random: f64) -> Duration {
        self.after_failure(random).max(FROZEN_PEER)
    }

    /// Starts over, because a connection has held.
    pub(super) fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Returns whether a connection that lasted this long counts as one that held.
    pub(super) fn is_steady(&self, lasted: Duration) -> bool {
        lasted >= self.max
    }
}

/// Returns a number from 0.0 to 1.0, good enough to spread reconnects of many workers.
pub(super) fn random() -> f64 {
    // Each `RandomState` has its own keys, so the hash of nothing is a fresh number.
    let bits = RandomState::new().hash_one(());
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(30);

    #[test]
    fn the_ceiling_doubles_and_stops_at_the_maximum() {
        let mut backoff = Backoff::new(MIN, MAX);
        let waits: Vec<_> = (0..8).map(|_| backoff.after_failure(1.0).as_millis()).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.after_failure(1.0).as_millis(), 1000);
    }

    #[test]
    fn the_wait_is_never_below_the_minimum() {
        let mut backoff = Backoff::new(MIN, MAX);
        assert!((0..50).all(|_| backoff.after_failure(0.0) == MIN));
    }

    #[test]
    fn a_silent_peer_is_left_alone_for_half_a_minute() {
        assert!(Backoff::new(MIN, MIN).after_silence(0.0) >= FROZEN_PEER);
    }

    #[test]
    fn random_numbers_are_in_range_and_differ() {
        let numbers: Vec<f64> = (0..100).map(|_| random()).collect();
        assert!(numbers.iter().all(|n| (0.0..=1.0).contains(n)));
        assert!(numbers.iter().any(|n| *n < 0.5) && numbers.iter().any(|n| *n > 0.5));
    }
}
