//! Counts days.

const DAY_MS: i64 = 86_400_000;

/// Returns the day of a time in milliseconds since 1970, counted since 1970.
pub fn day(at: i64) -> i64 {
    at.div_euclid(DAY_MS)
}
