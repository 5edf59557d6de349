//! Converts between times of the store, in milliseconds, and durations.

use std::time::Duration;

/// Returns the time that is `wait` after `now`.
pub(super) fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

/// Returns how long it is until a time; zero once it has passed.
pub(super) fn between(now: i64, until: i64) -> Duration {
    Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0))
}
