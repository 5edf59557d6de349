//! How are times and days said to people? Relative to now, with the absolute time beside it, always in UTC.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

/// A time in milliseconds since 1970, as `2026-11-23 09:30:00Z`.
pub(crate) fn absolute(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| "?".into(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// The same for programs, by RFC 3339: `2026-11-23T09:30:00.123Z`.
pub(crate) fn rfc3339(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|at| at.to_string())
}

/// How far a time is from `now`, as `3 min ago` or `in 2 h`.
pub(crate) fn relative(ms: i64, now: i64) -> String {
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

/// Both: `3 min ago (2026-11-23 09:30:00Z)`.
pub(crate) fn both(ms: i64, now: i64) -> String {
    format!("{} ({})", relative(ms, now), absolute(ms))
}

/// The day it is at `now`, in milliseconds since 1970.
pub(crate) fn day_of(now: i64) -> Date {
    TimeZone::UTC.to_datetime(Timestamp::from_millisecond(now).unwrap_or_default()).date()
}

/// How many days are left until a day written as `YYYY-MM-DD`; below zero when it is past.
pub(crate) fn days_left(day: &str, today: Date) -> Option<i32> {
    let day: Date = day.parse().ok()?;
    today.until((Unit::Day, day)).ok().map(|span| span.get_days())
}

/// The day on which a key expires, with the days that are left.
pub(crate) fn expiry(day: &str, today: Date) -> String {
    match days_left(day, today) {
        None => day.to_owned(),
        Some(0) => format!("{day} (today)"),
        Some(1) => format!("{day} (tomorrow)"),
        Some(days @ 2..) => format!("{day} ({days} days left)"),
        Some(-1) => format!("{day} (yesterday)"),
        Some(days) => format!("{day} ({} days ago)", days.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_said_in_the_unit_that_fits() {
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
        assert_eq!(absolute(NOW), "2027-01-15 08:00:00Z");
    }

    #[test]
    fn days_are_counted_across_months() {
        let today = "2026-11-23".parse().unwrap();
        for (day, words) in [
            ("2026-11-23", "2026-11-23 (today)"),
            ("2026-11-24", "2026-11-24 (tomorrow)"),
            ("2027-02-23", "2027-02-23 (92 days left)"),
            ("2026-11-22", "2026-11-22 (yesterday)"),
            ("2026-10-24", "2026-10-24 (30 days ago)"),
        ] {
            assert_eq!(expiry(day, today), words);
        }
        assert_eq!(days_left("soon", today), None);
    }
}
