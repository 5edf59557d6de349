//! Decides whether an account answers, or may hang and is kept from taking every request slot of the worker.

use std::time::Duration;

use tokio::time::Instant;

use super::ticket::{Report, RequestOutcome};

/// Work that has not ended for this long may hang, unless the account is known to be slower.
const PATIENCE: Duration = Duration::from_secs(10);
/// An account may take this many times its usual time.
const SLOWER: u32 = 4;
/// How long it is remembered that an account did not answer.
const REMEMBERED: Duration = Duration::from_secs(600);

/// What is known of whether an account answers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubt {
    /// Whether a request was answered since the lane exists.
    has_answered: bool,
    /// When the last request ended without an answer, if none was answered since.
    unanswered_at: Option<Instant>,
    /// When work last ended, or began where nothing was under way.
    progress_at: Option<Instant>,
}

impl Doubt {
    /// Notes that work begins while so many other pieces are under way.
    pub(super) fn began(&mut self, others: usize, now: Instant) {
        if others == 0 {
            self.progress_at = Some(now);
        }
    }

    /// Notes that work has ended, of an account whose requests usually take this long.
    pub(super) fn ended(&mut self, report: &Report, usual: Duration, now: Instant) {
        let is_slow = |took: Duration| took > patience(usual);
        let is_answered = match report.push {
            Some(push) => match push.end {
                // However long it took: the account is slow, and its usual time grows.
                RequestOutcome::Created | RequestOutcome::RefusedWhole { .. } => Some(true),
                RequestOutcome::Unanswered => Some(false),
                RequestOutcome::Unsent => None,
                RequestOutcome::Other => Some(!is_slow(push.took)),
            },
            // Work without a create request may have been many requests: only long silence says something.
            None if self.progress_at.is_some_and(|at| is_slow(now.saturating_duration_since(at))) => Some(false),
            None => None,
        };
        match is_answered {
            Some(true) => (self.has_answered, self.unanswered_at) = (true, None),
            Some(false) => self.unanswered_at = Some(now),
            None => {}
        }
        self.progress_at = Some(now);
    }

    /// Returns whether the account may hang: its last request was not answered, its work has not ended for long, or
    /// it has never answered and has work under way.
    pub(super) fn may_hang(&self, in_flight: usize, usual: Duration, now: Instant) -> bool {
        let is_silent = self.progress_at.is_some_and(|at| now.saturating_duration_since(at) > patience(usual));
        self.is_remembered(now) || (in_flight > 0 && (!self.has_answered || is_silent))
    }

    /// Returns whether something is known that must not be forgotten with an idle lane.
    pub(super) fn is_remembered(&self, now: Instant) -> bool {
        self.unanswered_at.is_some_and(|at| now.saturating_duration_since(at) < REMEMBERED)
    }
}

fn patience(usual: Duration) -> Duration {
    PATIENCE.max(usual.saturating_mul(SLOWER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane::RequestReport;

    const USUAL: Duration = Duration::from_millis(200);

    fn report(end: RequestOutcome, seconds: u64) -> Report {
        Report { requests: 1, push: Some(RequestReport { cases: 1, took: Duration::from_secs(seconds), end }) }
    }

    #[test]
    fn an_account_may_hang_after_silence_and_after_requests_without_an_answer() {
        let now = Instant::now();
        let refused = RequestOutcome::RefusedWhole { counts: true };
        for (end, took, may_hang) in [
            (RequestOutcome::Created, 0, false),
            (RequestOutcome::Created, 50, false),
            (refused, 50, false),
            (RequestOutcome::Other, 1, false),
            (RequestOutcome::Other, 10, false),
            (RequestOutcome::Other, 11, true),
            (RequestOutcome::Unanswered, 1, true),
        ] {
            let mut doubt = Doubt::default();
            doubt.began(0, now);
            doubt.ended(&report(end, took), USUAL, now);
            assert_eq!(doubt.may_hang(0, USUAL, now), may_hang, "{end:?} after {took} s");
            assert_eq!(doubt.is_remembered(now), may_hang);
            assert!(!doubt.is_remembered(now + REMEMBERED));
            doubt.ended(&report(RequestOutcome::Created, 1), USUAL, now);
            assert!(!doubt.may_hang(1, USUAL, now), "it answers again");
        }
    }

    #[test]
    fn a_request_that_got_no_socket_says_nothing_about_the_account() {
        let now = Instant::now();
        for (before, may_hang) in [(RequestOutcome::Created, false), (RequestOutcome::Unanswered, true)] {
            let mut doubt = Doubt::default();
            doubt.began(0, now);
            doubt.ended(&report(before, 1), USUAL, now);
            for took in [0, 20] {
                doubt.ended(&report(RequestOutcome::Unsent, took), USUAL, now);
                assert_eq!(doubt.may_hang(0, USUAL, now), may_hang, "{before:?}, then {took} s");
            }
        }
    }

    #[test]
    fn an_account_without_an_answer_so_far_may_have_one_request_without_doubt() {
        let now = Instant::now();
        let mut doubt = Doubt::default();
        assert!(!doubt.may_hang(0, USUAL, now));
        doubt.began(0, now);
        assert!(doubt.may_hang(1, USUAL, now));
        doubt.ended(&report(RequestOutcome::Created, 1), USUAL, now);
        assert!(!doubt.may_hang(1, USUAL, now));
    }

    #[test]
    fn silence_begins_with_the_first_piece_of_work_that_is_under_way() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut doubt = Doubt::default();
        doubt.ended(&report(RequestOutcome::Created, 1), USUAL, start);
        doubt.began(0, later(100));
        assert!(!doubt.may_hang(1, USUAL, later(109)), "nothing was under way for 100 s");
        doubt.began(1, later(109));
        assert!(doubt.may_hang(2, USUAL, later(111)), "more work is no progress");
    }

    #[test]
    fn silence_is_measured_by_what_is_usual_for_the_account() {
        let now = Instant::now();
        let mut doubt = Doubt::default();
        doubt.ended(&report(RequestOutcome::Created, 1), USUAL, now);
        let later = |seconds| now + Duration::from_secs(seconds);
        doubt.began(0, now);
        let slow = Duration::from_secs(20);
        for (usual, seconds, may_hang) in [(USUAL, 10, false), (USUAL, 11, true), (slow, 80, false), (slow, 81, true)] {
            assert_eq!(doubt.may_hang(1, usual, later(seconds)), may_hang, "{seconds} s");
            assert!(!doubt.may_hang(0, usual, later(seconds)), "nothing is under way");
        }
        // Work without a create request: only silence counts.
        doubt.ended(&Report { requests: 30, push: None }, USUAL, later(9));
        assert!(!doubt.is_remembered(later(9)));
        doubt.ended(&Report { requests: 1, push: None }, USUAL, later(20));
        assert!(doubt.is_remembered(later(20)));
    }
}
