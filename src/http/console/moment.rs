//! Shows times: how long ago for a glance, and exactly for a closer look.

use std::fmt;

use crate::app::time::{absolute, relative, rfc3339};

/// A time, in milliseconds since 1970, seen at another one. It is shown as markup that has nothing of others in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: i64,
    pub(super) now: i64,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (words, exact) = (relative(self.at, self.now), absolute(self.at));
        match rfc3339(self.at) {
            Some(at) => write!(f, "<time datetime=\"{at}\" title=\"{exact}\">{words}</time>"),
            None => f.write_str("an unknown time"),
        }
    }
}

/// Writes a number with spaces between its thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut written = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            written.push('\u{202f}');
        }
        written.push(digit);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_exact_time_in_utc() {
        let moment = Moment { at: 1_800_000_000_000, now: 1_800_000_180_000 };
        let shown = "<time datetime=\"2027-01-15T08:00:00Z\" title=\"2027-01-15 08:00:00Z\">3 min ago</time>";
        assert_eq!(moment.to_string(), shown);
        assert_eq!(Moment { at: i64::MAX, now: 0 }.to_string(), "an unknown time");
    }

    #[test]
    fn thousands_are_apart() {
        for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1\u{202f}000"), (1_234_567, "1\u{202f}234\u{202f}567")]
        {
            assert_eq!(grouped(number), shown);
        }
    }
}
