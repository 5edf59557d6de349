//! Holds what a page says once about what was just done; it travels to the next page in a cookie.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The longest text of a notice, in characters: a cookie has 4 KB.
const LONGEST: usize = 1_200;

/// How a thing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Tone {
    /// All of it was done.
    Good,
    /// Something of it was not.
    Mixed,
    /// Nothing was done.
    Bad,
}

impl Tone {
    /// Returns the word for the style sheet.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Mixed => "mixed",
            Self::Bad => "bad",
        }
    }
}

/// What is said once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) tone: Tone,
    pub(super) text: String,
    /// What comes next: what it is called, and the page.
    #[serde(default)]
    next: Option<(String, String)>,
}

impl Notice {
    /// Says that all was done.
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { tone: Tone::Good, text: text.into(), next: None }
    }

    /// Says that not everything was done.
    pub(super) fn mixed(text: impl Into<String>) -> Self {
        Self { tone: Tone::Mixed, text: text.into(), next: None }
    }

    /// Says that nothing was done.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { tone: Tone::Bad, text: text.into(), next: None }
    }

    /// Adds what comes next.
    pub(super) fn followed_by(self, next: Option<(String, String)>) -> Self {
        Self { next, ..self }
    }

    /// Returns what comes next, if that is a page of the console.
    pub(super) fn next(&self) -> Option<&(String, String)> {
        self.next.as_ref().filter(|(_, address)| is_own_page(address))
    }

    /// Writes it for a cookie.
    pub(super) fn written(&self) -> Option<String> {
        let text = self.text.chars().take(LONGEST).collect();
        let json = serde_json::to_vec(&Self { text, ..self.clone() });
        json.ok().map(|json| URL_SAFE_NO_PAD.encode(json))
    }

    /// Reads it from a cookie.
    pub(super) fn read(cookie: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cookie).ok()?).ok()
    }
}

/// Returns whether an address is one of a page of the console, so that nothing leads elsewhere.
pub(super) fn is_own_page(address: &str) -> bool {
    address.starts_with('/')
        && !address.starts_with("//")
        && !address.contains('\\')
        && address.chars().all(|c| c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_console_are_its_own() {
        for own in ["/", "/failures?tenant=acme", "/batches/a/b%2Fc"] {
            assert!(is_own_page(own), "{own}");
        }
        for other in
            ["", "https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "/a b", "/\u{9}x"]
        {
            assert!(!is_own_page(other), "{other}");
            let notice = Notice::good("x").followed_by(Some(("y".into(), other.into())));
            assert_eq!(notice.next(), None);
        }
    }

    #[test]
    fn a_notice_is_read_as_it_was_written_and_nothing_else_is_one() {
        let notice = Notice::mixed("3 of 4 entries <b>; ü");
        assert_eq!(Notice::read(&notice.written().unwrap()), Some(notice));
        for cookie in ["", "x", "e30"] {
            assert_eq!(Notice::read(cookie), None);
        }
        let long = Notice::good("x".repeat(9_000)).written().unwrap();
        assert!(long.len() < 2_000);
    }
}
