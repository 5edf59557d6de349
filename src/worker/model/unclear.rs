//! Holds what this worker knows of a create request whose outcome is unknown.

use tokio::time::Instant;

/// What is known of a create request whose outcome is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct UnclearPush {
    /// When this worker claimed the first of the cases whose outcome is unknown; `None` where another process did.
    pub(in crate::worker) claimed_at: Option<Instant>,
    /// When an answer showed that Testmo no longer works on the request; `None` where no answer came.
    pub(in crate::worker) ended_at: Option<Instant>,
}

impl UnclearPush {
    /// Returns when the first of the cases was claimed, in milliseconds on the store's clock as it goes now. `noted` is the time
    /// that the record has, and `now` that of the store at the instant `at`. A clock that was set back since makes it earlier.
    pub(in crate::worker) fn since(&self, noted: i64, now: i64, at: Instant) -> i64 {
        let elapsed =
            |claimed_at| i64::try_from(at.saturating_duration_since(claimed_at).as_millis()).unwrap_or(i64::MAX);
        self.claimed_at.map_or(noted, |claimed_at| noted.min(now.saturating_sub(elapsed(claimed_at))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_claim_is_not_younger_than_the_time_that_has_passed_since() {
        let at = Instant::now() + Duration::from_secs(100);
        let known = |seconds: u64| UnclearPush { claimed_at: Some(at - Duration::from_secs(seconds)), ended_at: None };
        for (push, noted, now, since) in [
            (known(5), 1_000_000, 1_005_000, 1_000_000),
            (known(5), 1_000_000, 985_000, 980_000),
            (known(5), 1_000_000, 1_065_000, 1_000_000),
            (UnclearPush::default(), 1_000_000, 985_000, 1_000_000),
        ] {
            assert_eq!(push.since(noted, now, at), since, "{push:?} {now}");
        }
    }
}
