//! The values in which a wait, a retry or a reconciliation of a batch is kept.

use serde::{Deserialize, Serialize};

use super::super::shelf::ShelvedUntil;
use crate::batch::generation::Overwritten;
use crate::batch::{Reason, excerpt};

/// The most characters of a detail that are kept.
pub const LONGEST_DETAIL: usize = 1_000;
/// The most rows of Testmo that are kept as possible matches of a reconciliation.
pub const MOST_CANDIDATES: usize = 20;

/// What stands for a secret.
const HIDDEN: char = '…';
/// The beginning of every API key of Testmo.
const API_KEY: &str = "testmo_api_";
/// The word before a token in a header.
const BEARER: &str = "bearer";

/// Something that happened to a batch once or several times. Times are milliseconds on the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// What happened.
    pub what: Happening,
    /// When it happened first.
    pub first_at: i64,
    /// When it happened last.
    pub last_at: i64,
    /// Until when the batch waited the last time, if that was a time.
    pub until: Option<i64>,
    /// How often it happened.
    pub times: u32,
}

/// What happened to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The batch, or a message with its id, was put onto the shelf.
    Shelved {
        /// Why.
        reason: Reason,
        /// More about the reason.
        detail: Option<String>,
        /// What it waits for.
        waits_for: WaitsFor,
    },
    /// A step failed, and the worker that had the batch in hand tried again after a pause.
    Retried {
        /// Why the step failed.
        reason: Reason,
        /// More about the reason.
        detail: Option<String>,
    },
    /// Cases of unknown outcome were reconciled with Testmo.
    Reconciled(Reconciliation),
    /// The late-duplicate check was made, or given up.
    LateChecked {
        /// How many cases were found a second time.
        duplicates: u32,
    },
    /// Edits by people were found that requests overwrote, or may have.
    Overwritten(Vec<Overwritten>),
}

/// What something on the shelf waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// A time.
    Time,
    /// A verified connection.
    Connection,
    /// A person.
    Person,
}

/// What a reconciliation found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// How many cases had an unknown outcome.
    pub unknown: u32,
    /// How many of them were found, and adopted.
    pub adopted: u32,
    /// How many of them were not found and are not sent again automatically.
    pub lost: u32,
    /// Ids of rows in Testmo that may be cases which were not found; at most [`MOST_CANDIDATES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<u64>,
    /// Whether nothing was read, because the cases were sent to an account that is no longer the tenant's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
}

impl HistoryEntry {
    /// Returns what happened once, at a time; `until` is the end of the wait, if it has one.
    pub fn once(what: Happening, at: i64, until: Option<i64>) -> Self {
        Self { what, first_at: at, last_at: at, until, times: 1 }
    }
}

impl Happening {
    /// Returns a shelving with what is kept of its detail.
    pub fn shelved(reason: Reason, detail: Option<&str>, until: ShelvedUntil) -> Self {
        let waits_for = match until {
            ShelvedUntil::After(_) => WaitsFor::Time,
            ShelvedUntil::Connection => WaitsFor::Connection,
            ShelvedUntil::Person => WaitsFor::Person,
        };
        Self::Shelved { reason, detail: detail.map(kept), waits_for }
    }

    /// Returns a retry with what is kept of its detail.
    pub fn retried(reason: Reason, detail: Option<&str>) -> Self {
        Self::Retried { reason, detail: detail.map(kept) }
    }

    /// Returns whether the wait ends at a time.
    pub fn has_end(&self) -> bool {
        matches!(self, Self::Retried { .. } | Self::Shelved { waits_for: WaitsFor::Time, .. })
    }

    /// Returns whether the same can happen again with nothing new in between: it is then kept once, with a count. What a
    /// person decides about is kept each time.
    pub fn may_repeat(&self) -> bool {
        match self {
            Self::Shelved { waits_for, .. } => *waits_for != WaitsFor::Person,
            Self::Retried { .. } => true,
            Self::Reconciled(found) => found.adopted == 0 && found.lost == 0,
            Self::LateChecked { .. } | Self::Overwritten(_) => false,
        }
    }
}

/// Returns what is kept of a detail: one line of limited length, without API keys and bearer tokens.
pub fn kept(detail: &str) -> String {
    redacted(&excerpt(detail, LONGEST_DETAIL))
}

/// Returns a text without API keys and bearer tokens.
pub fn redacted(text: &str) -> String {
    let (mut shown, mut after_bearer) = (String::with_capacity(text.len()), false);
    for word in text.split_inclusive(char::is_whitespace) {
        let blank = &word[word.trim_end_matches(char::is_whitespace).len()..];
        let is_blank = word.trim().is_empty();
        if after_bearer && !is_blank {
            shown.push(HIDDEN);
            shown.push_str(blank);
        } else {
            shown.push_str(&without_keys(word));
        }
        let is_bearer = word.trim_matches(|c: char| !c.is_alphanumeric()).eq_ignore_ascii_case(BEARER);
        after_bearer = is_bearer || (after_bearer && is_blank);
    }
    shown
}

fn without_keys(word: &str) -> String {
    let (mut shown, mut rest) = (String::new(), word);
    while let Some(at) = rest.find(API_KEY) {
        let (before, key) = rest.split_at(at + API_KEY.len());
        shown.push_str(before);
        shown.push(HIDDEN);
        rest = key.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "+/=_-.~".contains(c));
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_kept_on_one_line_within_a_limit_and_without_secrets() {
        for (detail, expected) in [
            ("Testmo answered 503", "Testmo answered 503"),
            ("two\nlines\u{1b}[2J", "two lines [2J"),
            ("the key testmo_api_eyJpdiI6=, is bad", "the key testmo_api_…, is bad"),
            ("a=testmo_api_x&b=testmo_api_y", "a=testmo_api_…&b=testmo_api_…"),
            ("Authorization: Bearer abc.def rest", "Authorization: Bearer … rest"),
            ("\"bearer\" abc", "\"bearer\" …"),
            ("a forbearer is no header", "a forbearer is no header"),
            ("bearer", "bearer"),
            ("bearer  abc", "bearer  …"),
        ] {
            assert_eq!(kept(detail), expected);
        }
        assert_eq!(redacted("a\nBearer\n\nabc\tb"), "a\nBearer\n\n…\tb");
        assert_eq!(kept(&"x".repeat(9_000)).chars().count(), LONGEST_DETAIL + 1);
    }

    #[test]
    fn what_changes_something_or_needs_a_person_is_kept_each_time() {
        let reconciled = |adopted, lost| {
            Happening::Reconciled(Reconciliation { unknown: 2, adopted, lost, ..Reconciliation::default() })
        };
        let shelved = |until| Happening::shelved(Reason::ServerError, None, until);
        for (what, expected) in [
            (shelved(ShelvedUntil::After(std::time::Duration::ZERO)), true),
            (shelved(ShelvedUntil::Connection), true),
            (shelved(ShelvedUntil::Person), false),
            (Happening::retried(Reason::Unclear, None), true),
            (reconciled(0, 0), true),
            (reconciled(1, 0), false),
            (reconciled(0, 1), false),
            (Happening::LateChecked { duplicates: 0 }, false),
        ] {
            assert_eq!(what.may_repeat(), expected, "{what:?}");
        }
    }
}
