//! Reads a point in time as people write it: a time span before now, a day or a time.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use super::super::time::duration;

/// A point in time as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeBound {
    /// This long ago.
    Ago(Duration),
    /// In milliseconds since 1970.
    At(i64),
}

impl FromStr for TimeBound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(at.as_millisecond()));
        }
        let day = text.parse::<Date>().ok();
        if let Some(begin) = day.and_then(|day| format!("{day}T00:00:00Z").parse::<Timestamp>().ok()) {
            return Ok(Self::At(begin.as_millisecond()));
        }
        let written =
            "write an age such as 2h or 3days, a day such as 2026-11-20, or a time such as 2026-11-20T09:30:00Z";
        duration(text).map(Self::Ago).map_err(|_| written.into())
    }
}

impl TimeBound {
    /// Returns the time in milliseconds since 1970, as `now` is.
    pub fn at(self, now: i64) -> i64 {
        match self {
            Self::Ago(span) => now.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
            Self::At(at) => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_forms_that_people_use() {
        const NOW: i64 = 1_800_000_000_000;
        for (text, at) in [
            ("2h", NOW - 7_200_000),
            ("3days", NOW - 3 * 86_400_000),
            ("2027-01-15", NOW - 8 * 3_600_000),
            ("2027-01-15T08:00:00Z", NOW),
            ("2027-01-15T09:00:00+01:00", NOW),
        ] {
            assert_eq!(text.parse::<TimeBound>().unwrap().at(NOW), at, "{text}");
        }
        assert!("yesterday".parse::<TimeBound>().unwrap_err().contains("2026-11-20"));
    }
}
