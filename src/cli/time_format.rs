//! Writes times and days for people: relative to now, with the absolute time beside it, always in UTC.

use jiff::civil::Date;
pub(crate) use testmo_courier::app::time::absolute;
use testmo_courier::app::time::{days_left, relative};

/// Writes both: `3 min ago (2026-11-23 09:30:00Z)`.
pub(crate) fn both(ms: i64, now: i64) -> String {
    format!("{} ({})", relative(ms, now), absolute(ms))
}

/// More days than that are so many that the year is probably mistyped: 5 years.
const FAR_DAYS: i32 = 5 * 365 + 2;

/// Returns whether a day is more than 5 years away.
pub(crate) fn is_far(day: &str, today: Date) -> bool {
    days_left(day, today).is_some_and(|days| days > FAR_DAYS)
}

/// Writes the day on which a key expires, with the days that are left.
pub(crate) fn expiry(day: &str, today: Date) -> String {
    match days_left(day, today) {
        None => day.to_owned(),
        Some(0) => format!("{day} (today)"),
        Some(1) => format!("{day} (tomorrow)"),
        Some(days) if days > FAR_DAYS => format!("{day} (in {} years)", days / 365),
        Some(days @ 2..) => format!("{day} ({days} days left)"),
        Some(-1) => format!("{day} (yesterday)"),
        Some(days) => format!("{day} ({} days ago)", days.unsigned_abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_written_with_the_days_that_are_left() {
        let today = "2026-11-23".parse().unwrap();
        for (day, words) in [
            ("2026-11-23", "2026-11-23 (today)"),
            ("2026-11-24", "2026-11-24 (tomorrow)"),
            ("2027-02-23", "2027-02-23 (92 days left)"),
            ("2026-11-22", "2026-11-22 (yesterday)"),
            ("2026-10-24", "2026-10-24 (30 days ago)"),
            ("9999-12-31", "9999-12-31 (in 7978 years)"),
        ] {
            assert_eq!(expiry(day, today), words);
        }
    }
}
