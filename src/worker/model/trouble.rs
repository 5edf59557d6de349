//! Remembers which accounts fail, since when and how, so that the time in which their batches wait counts as failing.
//!
//! Each worker goes by what it has observed itself: time in which no worker was running counts for no batch.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::batch::Reason;
use crate::guard::lock;

/// An account that was not observed for longer is not known to fail: a failing one with work is tried every 5 minutes.
const LONGEST_SILENCE: i64 = 15 * 60_000;

/// What is shown of an account of which another worker observed the failures.
const OBSERVED_ELSEWHERE: &str = "the account fails, and is tried again automatically";

/// How an account fails; times are in milliseconds on the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct Trouble {
    /// How its last request failed.
    pub(in crate::worker) reason: Reason,
    /// More about that.
    pub(in crate::worker) detail: String,
    /// Since when none of its create requests was answered.
    pub(in crate::worker) since: i64,
    /// When it was last observed to fail.
    seen_at: i64,
    /// Whether its circuit breaker is open; scattered failures are those of single requests.
    is_closed: bool,
}

/// Accounts that fail.
#[derive(Debug, Default)]
pub(in crate::worker) struct Troubles(Mutex<BTreeMap<String, Trouble>>);

impl Troubles {
    /// Notes that a request of an account failed at `now`.
    pub(in crate::worker) fn failed(&self, account: &str, reason: Reason, detail: String, now: i64) {
        self.note(account, now, |trouble| (trouble.reason, trouble.detail) = (reason, detail));
    }

    /// Notes that the circuit breaker of an account is open at `now`.
    pub(in crate::worker) fn closed(&self, account: &str, now: i64) {
        self.note(account, now, |trouble| trouble.is_closed = true);
    }

    /// Notes that an account works.
    pub(in crate::worker) fn ended(&self, account: &str) {
        lock(&self.0).remove(account);
    }

    /// Returns how an account fails whose circuit breaker is open.
    pub(in crate::worker) fn of(&self, account: &str, now: i64) -> Option<Trouble> {
        lock(&self.0).get(account).filter(|trouble| trouble.is_closed && !trouble.is_outdated(now)).cloned()
    }

    /// Returns for how many of the milliseconds between two times an account is known to have failed.
    pub(in crate::worker) fn failing_within(&self, account: &str, from: i64, to: i64) -> i64 {
        let failing = |trouble: &Trouble| to.min(trouble.seen_at) - from.max(trouble.since);
        self.of(account, to).as_ref().map_or(0, failing).max(0)
    }

    fn note(&self, account: &str, now: i64, change: impl FnOnce(&mut Trouble)) {
        let mut troubles = lock(&self.0);
        troubles.retain(|_, trouble| !trouble.is_outdated(now));
        let trouble = troubles.entry(account.to_owned()).or_insert_with(|| Trouble {
            reason: Reason::ServerError,
            detail: OBSERVED_ELSEWHERE.to_owned(),
            since: now,
            seen_at: now,
            is_closed: false,
        });
        trouble.seen_at = now;
        change(trouble);
    }
}

impl Trouble {
    fn is_outdated(&self, now: i64) -> bool {
        now.saturating_sub(self.seen_at) > LONGEST_SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn an_account_fails_from_its_first_failure_until_a_request_is_answered() {
        let troubles = Troubles::default();
        troubles.failed("a", Reason::NoAnswer, "nothing was received".into(), MINUTE);
        assert_eq!(troubles.of("a", MINUTE), None, "one request may fail");
        troubles.closed("a", 2 * MINUTE);
        troubles.failed("a", Reason::ServerError, "status 503".into(), 3 * MINUTE);
        let trouble = troubles.of("a", 4 * MINUTE).unwrap();
        assert_eq!(
            (trouble.reason, trouble.detail.as_str(), trouble.since),
            (Reason::ServerError, "status 503", MINUTE)
        );
        assert_eq!(troubles.of("b", 4 * MINUTE), None);
        troubles.ended("a");
        assert_eq!(troubles.of("a", 4 * MINUTE), None);
    }

    #[test]
    fn only_time_in_which_the_account_was_observed_to_fail_counts() {
        let troubles = Troubles::default();
        troubles.failed("a", Reason::ServerError, "status 503".into(), 10 * MINUTE);
        troubles.closed("a", 20 * MINUTE);
        for (from, to, failing) in [(0, 25, 10), (0, 15, 5), (12, 18, 6), (12, 25, 8), (0, 9, 0), (21, 25, 0)] {
            let within = troubles.failing_within("a", from * MINUTE, to * MINUTE);
            assert_eq!(within, failing * MINUTE, "{from} to {to}");
        }
        assert_eq!(troubles.failing_within("a", 0, 35 * MINUTE), 10 * MINUTE);
        assert_eq!(troubles.failing_within("a", 0, 35 * MINUTE + 1), 0, "the account was not tried for long");
        troubles.closed("a", 50 * MINUTE);
        assert_eq!(troubles.of("a", 50 * MINUTE).unwrap().since, 50 * MINUTE, "nobody knows of the time between");
    }
}
