//! Writes a moment in the forms of Testmo's bodies and headers.

use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A moment in milliseconds since 1970-01-01 UTC. It is always passed as a value, because the model has no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(pub i64);

impl Time {
    /// Reads ISO 8601 with a zone, as in `2026-07-01T00:00:00Z`.
    pub fn parse(text: &str) -> Option<Self> {
        let moment: Timestamp = text.parse().ok()?;
        Some(Self(moment.as_millisecond()))
    }

    /// Returns this moment plus `ms` milliseconds.
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the form of cases: `2026-07-31 09:32:21.067359`, UTC without a zone (recorded).
    pub fn of_case(self) -> String {
        self.timestamp().strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
    }

    /// Returns the form of projects: `2024-09-06T16:11:03.736Z` (recorded).
    pub fn of_project(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }

    /// Returns the form of the `Date` and `Retry-After` headers, whole seconds.
    pub fn of_header(self) -> String {
        let since_epoch = Duration::from_millis(u64::try_from(self.0).unwrap_or(0));
        httpdate::fmt_http_date(UNIX_EPOCH + since_epoch)
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_the_way_each_place_writes_it() {
        let moment = Time::parse("2026-07-31T09:32:21.067Z").unwrap();
        assert_eq!(moment.of_case(), "2026-07-31 09:32:21.067000");
        assert_eq!(moment.of_project(), "2026-07-31T09:32:21.067Z");
        assert_eq!(moment.of_header(), "Fri, 31 Jul 2026 09:32:21 GMT");
    }
}
