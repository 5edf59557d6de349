//! Shows how many connections work, how many keys expire soon, and how long batches have been on the shelf.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

use crate::batch::Reason;
use crate::metrics::{API_KEY_EXPIRIES, Metrics, SHELF_STATES, TENANT_CONNECTION_STATES, UNKNOWN_REASON};
use crate::store::connections::ConnectionCount;
use crate::store::replays::ReplayState;
use crate::store::shelf::ShelfAges;

/// Sets the gauges as of `now`, in milliseconds since 1970.
pub(super) fn show_connections(counts: &[ConnectionCount], now: i64, metrics: &Metrics) {
    let today = TimeZone::UTC.to_datetime(Timestamp::from_millisecond(now).unwrap_or_default()).date();
    let sum = |counted: &dyn Fn(&ConnectionCount) -> bool| {
        counts.iter().filter(|count| counted(count)).map(|count| count.count).sum()
    };
    for state in API_KEY_EXPIRIES {
        let keys = sum(&|count| api_key_expiry(count.expires_on.as_deref(), today) == state);
        metrics.api_keys.with_label_values(&[state]).set(keys);
    }
    for state in TENANT_CONNECTION_STATES {
        let connections = sum(&|count| count.verified == (state == "verified"));
        metrics.tenant_connections.with_label_values(&[state]).set(connections);
    }
}

/// Sets the gauges of what has been on the shelf for longest, as of `now`, in milliseconds since 1970.
pub(super) fn show_ages(ages: &ShelfAges, now: i64, metrics: &Metrics) {
    let seconds = |since: i64| now.saturating_sub(since).max(0) / 1_000;
    for state in SHELF_STATES {
        for reason in Reason::ALL.iter().copied().map(Some).chain([None]) {
            let here = ages.oldest.iter().find(|age| age.state.name() == state && age.reason == reason);
            let code = reason.map_or(UNKNOWN_REASON, Reason::code);
            let gauge = metrics.shelf_oldest_batch_age_seconds.with_label_values(&[state, code]);
            gauge.set(here.map_or(0, |age| seconds(age.since)));
        }
    }
    metrics.shelf_failing_seconds.set(ages.failing_since.map_or(0, seconds));
}

/// Sets the gauges of replays by state.
pub(super) fn show_replays(counts: &[(ReplayState, u64)], metrics: &Metrics) {
    for state in ReplayState::ALL {
        let count = counts.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
        metrics.replays.with_label_values(&[state.name()]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Returns when a key expires whose last day is `expires_on`. A day that cannot be read counts as none.
fn api_key_expiry(expires_on: Option<&str>, today: Date) -> &'static str {
    let last: Option<Date> = expires_on.and_then(|day| day.parse().ok());
    match last.and_then(|day| today.until((Unit::Day, day)).ok()).map(|span| span.get_days()) {
        None => "unknown",
        Some(..0) => "expired",
        Some(0..=1) => "within_1_day",
        Some(2..=7) => "within_7_days",
        Some(8..=14) => "within_14_days",
        Some(15..) => "later",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::shelf::{ShelfAge, ShelfState};

    #[test]
    fn ages_are_shown_by_state_and_reason_and_end_with_the_batch() {
        let metrics = Metrics::new().unwrap();
        let age = |state, reason, since| ShelfAge { state, reason, since };
        let oldest = vec![
            age(ShelfState::Dead, Some(Reason::NotJson), 1_000),
            age(ShelfState::Parked, Some(Reason::Paused), 61_000),
            age(ShelfState::Parked, None, 90_000),
        ];
        show_ages(&ShelfAges { oldest, failing_since: Some(31_500) }, 91_000, &metrics);
        let shown = |state: &str, reason: &str| {
            metrics.shelf_oldest_batch_age_seconds.with_label_values(&[state, reason]).get()
        };
        let all = || {
            [shown("dead", "not_json"), shown("parked", "paused"), shown("parked", "unknown"), shown("dead", "paused")]
        };
        assert_eq!((all(), metrics.shelf_failing_seconds.get()), ([90, 30, 1, 0], 59));
        show_ages(&ShelfAges::default(), 91_000, &metrics);
        assert_eq!((all(), metrics.shelf_failing_seconds.get()), ([0; 4], 0));
    }

    #[test]
    fn each_state_of_a_replay_has_a_gauge_that_ends_with_the_last_one() {
        let metrics = Metrics::new().unwrap();
        let shown = |state: &str| metrics.replays.with_label_values(&[state]).get();
        show_replays(&[(ReplayState::Running, 2), (ReplayState::Done, 1)], &metrics);
        assert_eq!((shown("running"), shown("done"), shown("paused")), (2, 1, 0));
        show_replays(&[], &metrics);
        assert_eq!(crate::metrics::REPLAY_STATES.map(shown), [0; 6]);
        assert_eq!(crate::metrics::REPLAY_STATES, ReplayState::ALL.map(ReplayState::name));
    }

    #[test]
    fn a_key_is_valid_throughout_its_last_day() {
        let today = "2026-12-30".parse().unwrap();
        for (expires_on, state) in [
            (Some("2020-01-01"), "expired"),
            (Some("2026-12-29"), "expired"),
            (Some("2026-12-30"), "within_1_day"),
            (Some("2026-12-31"), "within_1_day"),
            (Some("2027-01-01"), "within_7_days"),
            (Some("2027-01-06"), "within_7_days"),
            (Some("2027-01-07"), "within_14_days"),
            (Some("2027-01-13"), "within_14_days"),
            (Some("2027-01-14"), "later"),
            (Some("2999-12-31"), "later"),
            (Some("soon"), "unknown"),
            (None, "unknown"),
        ] {
            assert_eq!(api_key_expiry(expires_on, today), state, "{expires_on:?}");
            assert!(API_KEY_EXPIRIES.contains(&state));
        }
    }

    #[test]
    fn every_connection_is_counted_once_and_a_state_without_any_is_zero() {
        let metrics = Metrics::new().unwrap();
        let count = |expires_on: Option<&str>, verified, count| ConnectionCount {
            expires_on: expires_on.map(Into::into),
            verified,
            count,
        };
        let late_evening = "2026-11-23T23:59:59Z".parse::<Timestamp>().unwrap().as_millisecond();
        let counts = [count(Some("2026-11-23"), true, 2), count(None, true, 9_000), count(None, false, 1)];
        show_connections(&counts, late_evening, &metrics);
        let keys = |state: &str| metrics.api_keys.with_label_values(&[state]).get();
        assert_eq!(API_KEY_EXPIRIES.map(keys), [0, 2, 0, 0, 0, 9_001]);
        show_connections(&counts, late_evening + 1_000, &metrics);
        assert_eq!(API_KEY_EXPIRIES.map(keys), [2, 0, 0, 0, 0, 9_001]);
        let connections = |state: &str| metrics.tenant_connections.with_label_values(&[state]).get();
        assert_eq!(TENANT_CONNECTION_STATES.map(connections), [9_002, 1]);
    }
}
