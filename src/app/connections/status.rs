//! Decides whether a connection needs a person: green, amber or red, and why.

use jiff::civil::Date;

use super::super::time::days_left;
use crate::store::connections::{ConnectionRow, Verification};

/// How many days before it expires a key is to be replaced.
const SOON_DAYS: i32 = 14;

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusLight {
    /// It works.
    Green,
    /// It works, and its key expires soon.
    Amber,
    /// It was not seen to work, or its key has expired.
    Red,
}

impl StatusLight {
    /// Decides by verification and by the days until the key expires, if that day is known.
    fn rule(verified: bool, days_left: Option<i32>) -> Self {
        match days_left {
            _ if !verified => Self::Red,
            Some(days) if days < 0 => Self::Red,
            Some(days) if days <= SOON_DAYS => Self::Amber,
            Some(_) | None => Self::Green,
        }
    }

    /// Decides for a stored connection.
    pub fn of(row: &ConnectionRow, today: Date) -> Self {
        Self::rule(row.is_verified(), days_until_expiry(row, today))
    }

    /// Returns the word for the light.
    pub fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }
}

/// Returns the days until a connection's key expires, if that day is known.
pub fn days_until_expiry(row: &ConnectionRow, today: Date) -> Option<i32> {
    row.expires_on.as_deref().and_then(|day| days_left(day, today))
}

/// Writes why the light is not green; empty when it is.
pub fn note(row: &ConnectionRow, today: Date) -> String {
    if !row.is_verified() {
        return match &row.finding {
            Some(Verification::Fails { reason, detail }) => format!("{reason}: {detail}"),
            Some(Verification::Works { .. }) | None => "not verified since it was changed".into(),
        };
    }
    match days_until_expiry(row, today) {
        Some(days) if days < 0 => "the API key has expired: enter a new one".into(),
        Some(days) if days <= SOON_DAYS => "the API key expires soon: enter a new one".into(),
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_light_depends_only_on_verification_and_expiry() {
        let table = [
            (true, None, StatusLight::Green),
            (true, Some(365), StatusLight::Green),
            (true, Some(15), StatusLight::Green),
            (true, Some(14), StatusLight::Amber),
            (true, Some(0), StatusLight::Amber),
            (true, Some(-1), StatusLight::Red),
            (false, None, StatusLight::Red),
            (false, Some(365), StatusLight::Red),
            (false, Some(-1), StatusLight::Red),
        ];
        for (verified, days_left, light) in table {
            assert_eq!(StatusLight::rule(verified, days_left), light, "{verified} {days_left:?}");
        }
    }
}
