//! Reads and writes times, days and time spans, always in UTC.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

use crate::clock::Clock;

/// Reads a time span as people write it.
///
/// # Errors
/// When it is not written as `30s`, `5m` or `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    humantime_serde::re::humantime::parse_duration(text)
        .map_err(|_| "write a duration such as 30s, 5m or 1h 30m".into())
}

/// Returns the time on the system's clock, in milliseconds since 1970.
pub fn now() -> i64 {
    Clock::system().now()
}

/// Writes a time in milliseconds since 1970 by RFC 3339: `2026-11-23T09:30:00.123Z`.
pub fn rfc3339(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|at| at.to_string())
}

/// Writes a time in milliseconds since 1970 for people: `2026-11-23 09:30:00Z`.
pub fn absolute(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| "?".into(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// Writes how far a time is from `now`, as `3 min ago` or `in 2 h`; both are in milliseconds since 1970.
pub fn relative(ms: i64, now: i64) -> String {
    let seconds = ms.abs_diff(now) / 1_000;
    let span = match seconds {
        0 => return "now".into(),
        1..=89 => format!("{seconds} s"),
        90..=5_399 => format!("{} min", (seconds + 30) / 60),
        5_400..=172_799 => format!("{} h", (seconds + 1_800) / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    if ms > now { format!("in {span}") } else { format!("{span} ago") }
}

/// Returns the day at `now`, in milliseconds since 1970.
pub fn day_of(now: i64) -> Date {
    TimeZone::UTC.to_datetime(Timestamp::from_millisecond(now).unwrap_or_default()).date()
}

/// Returns how many days are left until a day written as `YYYY-MM-DD`; below zero when it is past.
pub fn days_left(day: &str, today: Date) -> Option<i32> {
    let day: Date = day.parse().ok()?;
    today.until((Unit::Day, day)).ok().map(|span| span.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_written_in_the_unit_that_fits() {
        const NOW: i64 = 1_800_000_000_000;
        let table = [
            (0, "now"),
            (-1_000, "1 s ago"),
            (30_000, "in 30 s"),
            (-90_000, "2 min ago"),
            (5_400_000, "in 2 h"),
            (-86_400_000, "24 h ago"),
            (-172_800_000, "2 days ago"),
        ];
        for (distance, words) in table {
            assert_eq!(relative(NOW + distance, NOW), words);
        }
    }

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(absolute(1_800_000_000_000), "2027-01-15 08:00:00Z");
        assert_eq!(absolute(i64::MAX), "?");
    }

    #[test]
    fn days_are_counted_across_months() {
        let today = "2026-11-23".parse().unwrap();
        assert_eq!(days_left("2027-02-23", today), Some(92));
        assert_eq!(days_left("2026-10-24", today), Some(-30));
        assert_eq!(days_left("soon", today), None);
    }
}
