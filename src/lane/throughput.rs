//! Measures how fast an account takes requests, to estimate what can be sent soon and how long a backlog takes.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The assumed time of a request before one was measured.
const FIRST_GUESS: Duration = Duration::from_millis(200);
/// The weight of a new time against the earlier ones.
const WEIGHT: f64 = 0.2;
/// How far back requests are counted while an account is rate-limited.
const SPAN: Duration = Duration::from_secs(10);
/// The least number of counted requests from which a rate-limited account's rate is reported.
const MEASURED: usize = 3;
/// Times of pushes of similar size are compared: one class per power of two.
const SIZES: usize = 8;
/// Answers are slow if they take this many times as long as the quickest of their size.
const SLOW: f64 = 2.5;
/// How many slow answers in a row it takes until answers have become slow.
const SLOW_IN_A_ROW: u32 = 4;
/// Differences below this are noise.
const NOISE: Duration = Duration::from_millis(50);
/// The factor by which the quickest time grows, as an account may have become slower for good.
const FORGET: f64 = 1.02;

/// The measured requests of one account.
#[derive(Debug)]
pub(super) struct Throughput {
    seconds: f64,
    quickest: [Option<f64>; SIZES],
    slow: u32,
    ended: VecDeque<Instant>,
    throttled_at: Option<Instant>,
}

impl Throughput {
    pub(super) fn new() -> Self {
        Self {
            seconds: FIRST_GUESS.as_secs_f64(),
            quickest: [None; SIZES],
            slow: 0,
            ended: VecDeque::new(),
            throttled_at: None,
        }
    }

    /// Records a request of `cases` that was carried out; returns whether answers have become slow.
    pub(super) fn note(&mut self, cases: usize, took: Duration, now: Instant) -> bool {
        let took = took.as_secs_f64();
        self.seconds += (took - self.seconds) * WEIGHT;
        self.ended.push_back(now);
        self.forget(now);
        let size = usize::try_from(cases.max(1).ilog2()).unwrap_or(0).min(SIZES - 1);
        let quickest = self.quickest[size].map_or(took, |quickest| (quickest * FORGET).min(took));
        self.quickest[size] = Some(quickest);
        let is_slow = took > quickest * SLOW + NOISE.as_secs_f64();
        self.slow = if is_slow { self.slow + 1 } else { 0 };
        let tell = self.slow >= SLOW_IN_A_ROW;
        if tell {
            self.slow = 0;
        }
        tell
    }

    /// Records that the account asked for a pause.
    pub(super) fn throttled(&mut self, now: Instant) {
        self.throttled_at = Some(now);
        self.forget(now);
    }

    /// Returns the usual time of a request.
    pub(super) fn usual(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.max(0.000_1))
    }

    /// Returns the requests per second at the present rate: as counted while the account is rate-limited, otherwise as
    /// `limit` requests at once allow.
    pub(super) fn rate(&self, limit: usize, now: Instant) -> f64 {
        let recently = |at: &&Instant| now.saturating_duration_since(**at) < SPAN;
        match self.throttled_at.as_ref().filter(recently) {
            Some(_) => {
                let count = self.ended.iter().filter(recently).count();
                f64::from(u32::try_from(count.max(1)).unwrap_or(u32::MAX)) / SPAN.as_secs_f64()
            }
            None => f64::from(u32::try_from(limit).unwrap_or(u32::MAX)) / self.usual().as_secs_f64(),
        }
    }

    /// Returns the rate from which a waiting time is reported: if too few requests were counted, such as right after a
    /// rate-limit pause began, as `limit` requests at once allow. A wait may then be longer than reported, but no wait
    /// is reported where there is none.
    pub(super) fn reported_rate(&self, limit: usize, now: Instant) -> f64 {
        let recently = |at: &&Instant| now.saturating_duration_since(**at) < SPAN;
        let rate = self.rate(limit, now);
        if self.ended.iter().filter(recently).count() >= MEASURED {
            return rate;
        }
        rate.max(f64::from(u32::try_from(limit).unwrap_or(u32::MAX)) / self.usual().as_secs_f64())
    }

    fn forget(&mut self, now: Instant) {
        // Only the requests of a rate-limited account are counted, and those are few.
        let counted = self.throttled_at.is_some_and(|at| now.saturating_duration_since(at) < SPAN);
        while self.ended.front().is_some_and(|at| !counted || now.saturating_duration_since(*at) >= SPAN) {
            self.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_what_fits_at_once_or_what_a_throttled_account_took() {
        let start = Instant::now();
        let mut throughput = Throughput::new();
        for _ in 0..100 {
            throughput.note(10, Duration::from_millis(50), start);
        }
        assert!((throughput.rate(4, start) - 80.0).abs() < 1.0);
        throughput.throttled(start);
        for second in 1..=8 {
            throughput.note(10, Duration::from_millis(50), start + Duration::from_secs(second));
        }
        assert!((throughput.rate(4, start + Duration::from_secs(9)) - 0.8).abs() < 0.01);
        assert!((throughput.rate(4, start + Duration::from_secs(60)) - 80.0).abs() < 1.0);
    }

    #[test]
    fn a_pause_that_has_just_begun_says_nothing_of_how_fast_an_account_is() {
        let start = Instant::now();
        let mut throughput = Throughput::new();
        throughput.throttled(start);
        assert!((throughput.rate(4, start) - 0.1).abs() < 0.01);
        assert!((throughput.reported_rate(4, start) - 20.0).abs() < 0.1);
        for second in 1..=3 {
            throughput.note(10, Duration::from_millis(200), start + Duration::from_secs(second));
        }
        assert!((throughput.reported_rate(4, start + Duration::from_secs(4)) - 0.3).abs() < 0.01);
    }

    #[test]
    fn answers_are_slow_only_against_quick_ones_of_their_size_and_several_in_a_row() {
        let now = Instant::now();
        let mut throughput = Throughput::new();
        let mut note = |cases, ms| throughput.note(cases, Duration::from_millis(ms), now);
        assert!(!(0..20).any(|_| note(5, 150)));
        // A large request takes longer although nothing is wrong.
        assert!(!(0..20).any(|_| note(100, 1_500)));
        assert!(![700, 150, 700, 700, 700].map(|ms| note(5, ms)).contains(&true));
        assert!(note(5, 700));
    }
}
