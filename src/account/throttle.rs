//! Decides whether a request may be sent to an account now and how many at once, from its rate-limit pause, limit and
//! circuit breaker.
//!
//! All workers and commands share the value: it is kept in the account's row of the store, and changed only there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many failures in a row, over all workers, open the circuit breaker. Scattered failures have no effect.
const SERIES: u32 = 8;
/// How long the circuit breaker stays open the first time; the time doubles with each opening, up to [`LONGEST_BREAK`].
const FIRST_BREAK: Duration = Duration::from_secs(5);
/// The longest time between two probes of a failing account.
const LONGEST_BREAK: Duration = Duration::from_secs(300);
/// The least rate-limit pause after the second 429 in a row; it doubles with each further one, up to
/// [`LONGEST_LEAST_PAUSE`].
const SECOND_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause that is kept although the account asks for a shorter one.
const LONGEST_LEAST_PAUSE: Duration = Duration::from_secs(60);
/// How soon it is looked again whether a probe that is under way has ended, in milliseconds.
const PROBE_POLL: i64 = 2_000;
/// How many requests a full round of answers, one for each request of the limit, adds to a lowered limit.
const RAISE: f64 = 0.1;
/// The factor by which the limit is lowered when answers become slow.
const SLOWED: f64 = 0.7;

/// What the workers know of an account; times are in milliseconds on the store's clock.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Throttle {
    /// The end of the rate-limit pause: no request is sent before it; 0 if no 429 was ever received.
    #[serde(rename = "gate_until")]
    pub rate_limited_until: i64,
    /// How many requests at once the account bears, if that is less than the configured number.
    pub limit: Option<f64>,
    /// How many rate-limit pauses followed one another without an answered create request. Some servers ask for a pause
    /// that is far too short.
    #[serde(skip_serializing_if = "is_zero")]
    pub pauses: u32,
    /// How many requests in a row failed.
    pub failures: u32,
    /// When the account is probed next, if the circuit breaker is open.
    pub breaker_until: Option<i64>,
    /// Until when a probe may be under way, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_until: Option<i64>,
    /// How often in a row the circuit breaker opened. It is not 0 while the account is on trial: a probe was answered,
    /// but no create request has been since.
    pub breaks: u32,
    /// Whether a case was seen with a lower id than an older case: then ids do not show which case is older.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ids_disordered: bool,
}

/// What the end of a request shows about its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The create request was answered as quickly as before; a refusal of its content is an answer too.
    Answered,
    /// The probe of an open circuit breaker was answered. As it creates nothing, it does not show that create requests
    /// are answered, too.
    ProbeAnswered,
    /// The request was answered, but answers keep taking longer.
    Slow,
    /// 429: no request may be sent for this long.
    Throttled(Duration),
    /// 5xx, no answer in time, or no connection.
    Failed,
    /// The probe of an open circuit breaker failed.
    ProbeFailed,
    /// A case got a lower id than a case that existed before.
    IdsDisordered,
}

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// A request may be sent while fewer than `limit` are under way.
    Granted {
        /// The limit, at least 1.
        limit: u32,
    },
    /// The account asked for a pause until then.
    RateLimited {
        /// When the pause ends, in milliseconds on the store's clock.
        until: i64,
    },
    /// The circuit breaker is open; from `until` on, one probe may find out whether the account works again.
    Broken {
        /// When the account may be probed, in milliseconds on the store's clock.
        until: i64,
    },
}

impl Throttle {
    /// Returns whether a request may be sent at `now`, if `ceiling` requests at once are configured.
    pub fn permission(&self, now: i64, ceiling: u32) -> Permission {
        if self.rate_limited_until > now {
            return Permission::RateLimited { until: self.rate_limited_until };
        }
        match self.breaker_until {
            Some(until) => Permission::Broken { until: until.max(self.probe_ends(now)) },
            None => Permission::Granted { limit: self.limit(ceiling) },
        }
    }

    /// Returns how long nothing may be sent, not even a probe.
    pub fn pause(&self, now: i64) -> Option<Duration> {
        let until = match self.permission(now, 1) {
            Permission::Granted { .. } => return None,
            Permission::RateLimited { until } | Permission::Broken { until } => until,
        };
        u64::try_from(until - now).ok().filter(|left| *left > 0).map(Duration::from_millis)
    }

    /// Returns how many requests may be under way at once.
    pub fn limit(&self, ceiling: u32) -> u32 {
        let ceiling = ceiling.max(1);
        // A limit lies between 1 and the ceiling, so only the fraction is cut off.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and the ceiling")]
        let limit = self.limit.map_or(ceiling, |limit| limit as u32);
        limit.clamp(1, ceiling)
    }

    /// Applies the signal of a request at `now`; returns whether the value changed.
    pub fn observe(&mut self, signal: Signal, now: i64, ceiling: u32) -> bool {
        let before = self.clone();
        match signal {
            Signal::Answered => {
                self.recovered();
                self.limit = self.limit.map(|limit| limit + RAISE / limit).filter(|limit| *limit < f64::from(ceiling));
            }
            Signal::Slow => {
                self.recovered();
                let limit = self.limit.unwrap_or_else(|| f64::from(ceiling));
                self.limit = Some((limit * SLOWED).max(1.0));
            }
            Signal::ProbeAnswered => self.on_trial(),
            Signal::Throttled(wait) => {
                self.on_trial();
                // The answers to requests that were under way together are one refusal.
                if now >= self.rate_limited_until {
                    self.pauses = self.pauses.saturating_add(1);
                }
                let wait = wait.max(least_pause(self.pauses));
                // A pause never ends earlier than it was set to. After it one request is sent first, then the limit
                // rises.
                self.rate_limited_until = self.rate_limited_until.max(after(now, wait));
                self.limit = Some(1.0);
            }
            Signal::Failed => {
                self.failures = self.failures.saturating_add(1);
                let is_series = self.failures >= SERIES || self.breaks > 0;
                if is_series && self.breaker_until.is_none() {
                    self.break_for_a_while(now);
                }
            }
            Signal::ProbeFailed => self.break_for_a_while(now),
            Signal::IdsDisordered => self.ids_disordered = true,
        }
        *self != before
    }

    /// Keeps others from probing for `lease`, while a probe is under way; returns whether the probe is the caller's.
    pub fn take_probe(&mut self, now: i64, lease: Duration) -> bool {
        let is_broken = self.breaker_until.is_some_and(|until| until.max(self.probe_ends(now)) <= now);
        let due = is_broken && self.rate_limited_until <= now;
        if due {
            self.probe_until = Some(after(now, lease));
        }
        due
    }

    /// Returns when it is looked again whether a probe that is under way has ended; not after `now` if none is.
    fn probe_ends(&self, now: i64) -> i64 {
        self.probe_until.map_or(now, |until| until.min(now.saturating_add(PROBE_POLL)))
    }

    fn break_for_a_while(&mut self, now: i64) {
        let wait = FIRST_BREAK.saturating_mul(2_u32.saturating_pow(self.breaks.min(16)));
        self.breaker_until = Some(after(now, wait.min(LONGEST_BREAK)));
        self.breaks = self.breaks.saturating_add(1);
        self.probe_until = None;
    }

    /// Closes the circuit breaker for one request at a time. Only an answered create request ends the series of its
    /// openings; if one fails before that, the pause goes on growing.
    fn on_trial(&mut self) {
        if self.breaker_until.is_some() {
            self.limit = Some(1.0);
        }
        (self.failures, self.breaker_until, self.probe_until) = (0, None, None);
    }

    fn recovered(&mut self) {
        (self.failures, self.breaker_until, self.probe_until) = (0, None, None);
        (self.breaks, self.pauses) = (0, 0);
    }
}

/// Returns how long the pause lasts at least that follows so many others, itself included.
fn least_pause(pauses: u32) -> Duration {
    match pauses.checked_sub(2) {
        None => Duration::ZERO,
        Some(further) => SECOND_PAUSE.saturating_mul(2_u32.saturating_pow(further.min(16))).min(LONGEST_LEAST_PAUSE),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(signals: &[Signal]) -> Throttle {
        let mut pace = Throttle::default();
        for signal in signals {
            pace.observe(*signal, 0, 4);
        }
        pace
    }

    #[test]
    fn a_healthy_account_bears_what_is_configured_and_is_not_written_down_again_and_again() {
        let mut pace = Throttle::default();
        assert!(!pace.observe(Signal::Answered, 0, 4));
        assert_eq!(pace.permission(0, 4), Permission::Granted { limit: 4 });
    }

    #[test]
    fn after_a_429_nothing_goes_until_the_gate_opens_then_one_then_more() {
        let mut pace = after(&[Signal::Throttled(SECOND), Signal::Throttled(SECOND / 2)]);
        assert_eq!(pace.permission(999, 4), Permission::RateLimited { until: 1_000 });
        assert_eq!(pace.permission(1_000, 4), Permission::Granted { limit: 1 });
        let mut limits = Vec::new();
        for _ in 0..100 {
            pace.observe(Signal::Answered, 2_000, 4);
            limits.push(pace.limit(4));
        }
        assert_eq!((limits[0], limits[99]), (1, 4));
        assert!(limits.is_sorted());
        assert_eq!(pace.limit, None);
    }

    #[test]
    fn pauses_that_follow_one_another_grow_although_the_account_asks_for_short_ones() {
        let (mut pace, mut now, mut pauses) = (Throttle::default(), 0, Vec::new());
        for _ in 0..9 {
            pace.observe(Signal::Throttled(SECOND), now, 4);
            // Another request that was under way is refused, too.
            pace.observe(Signal::Throttled(SECOND), now, 4);
            pauses.push((pace.rate_limited_until - now) / 1_000);
            now = pace.rate_limited_until;
            // A read is answered meanwhile, which shows nothing of create requests.
            pace.observe(Signal::ProbeAnswered, now, 4);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        pace.observe(Signal::Throttled(200 * SECOND), now, 4);
        assert_eq!(pace.rate_limited_until, now + 200_000, "what the account asks for counts where it is longer");
        now = pace.rate_limited_until;
        pace.observe(Signal::Answered, now, 4);
        pace.observe(Signal::Throttled(SECOND), now, 4);
        assert_eq!(pace.rate_limited_until, now + 1_000);
    }

    #[test]
    fn scattered_failures_change_no_limit_and_a_series_opens_the_breaker() {
        let mut pace = after(&[Signal::Failed; 7]);
        assert_eq!(pace.permission(0, 4), Permission::Granted { limit: 4 });
        pace.observe(Signal::Answered, 0, 4);
        assert_eq!(pace, Throttle::default());
        let mut pace = after(&[Signal::Failed; 8]);
        assert_eq!(pace.permission(0, 4), Permission::Broken { until: 5_000 });
        // Requests that were under way when the breaker opened do not keep it open for longer.
        pace.observe(Signal::Failed, 10, 4);
        assert_eq!(pace.permission(10, 4), Permission::Broken { until: 5_000 });
    }

    #[test]
    fn an_open_breaker_is_probed_by_one_at_a_time_and_less_and_less_often() {
        let mut pace = after(&[Signal::Failed; 8]);
        assert!(!pace.take_probe(4_999, SECOND));
        let mut now = 5_000;
        for seconds in [10, 20, 40, 80, 160, 300, 300] {
            assert!(pace.take_probe(now, SECOND));
            assert!(!pace.take_probe(now, SECOND));
            pace.observe(Signal::ProbeFailed, now, 4);
            assert_eq!(pace.breaker_until, Some(now + seconds * 1_000));
            now += seconds * 1_000;
        }
        pace.observe(Signal::Answered, now, 4);
        assert_eq!(pace, Throttle::default());
    }

    #[test]
    fn while_one_probes_the_others_look_again_soon_and_after_its_lease_another_may() {
        let mut pace = after(&[Signal::Failed; 8]);
        assert!(pace.take_probe(5_000, 30 * SECOND));
        assert_eq!(pace.permission(5_000, 4), Permission::Broken { until: 7_000 });
        assert_eq!(pace.permission(34_500, 4), Permission::Broken { until: 35_000 });
        assert!(!pace.take_probe(34_999, SECOND) && pace.take_probe(35_000, SECOND));
    }

    #[test]
    fn after_a_probe_one_request_goes_first_and_only_an_answered_create_request_ends_the_series() {
        let mut pace = after(&[Signal::Failed; 8]);
        let mut now = 5_000;
        // An account whose reads are answered and whose create requests fail: the pause grows all the same.
        for seconds in [10, 20, 40] {
            assert!(pace.take_probe(now, SECOND));
            pace.observe(Signal::ProbeAnswered, now, 4);
            assert_eq!(pace.permission(now, 4), Permission::Granted { limit: 1 });
            pace.observe(Signal::Failed, now, 4);
            assert_eq!(pace.permission(now, 4), Permission::Broken { until: now + seconds * 1_000 });
            now += seconds * 1_000;
        }
        pace.observe(Signal::ProbeAnswered, now, 4);
        pace.observe(Signal::Answered, now, 4);
        assert_eq!((pace.breaks, pace.permission(now, 4)), (0, Permission::Granted { limit: 1 }));
        for _ in 0..100 {
            pace.observe(Signal::Answered, now, 4);
        }
        assert_eq!(pace, Throttle::default());
        pace.observe(Signal::Failed, now, 4);
        assert_eq!(pace.permission(now, 4), Permission::Granted { limit: 4 });
    }

    #[test]
    fn slow_answers_lower_the_limit_step_by_step() {
        let limits: Vec<u32> = (1..6).map(|n| after(&vec![Signal::Slow; n]).limit(4)).collect();
        assert_eq!(limits, [2, 1, 1, 1, 1]);
    }

    #[test]
    fn a_pause_is_what_is_left_until_something_may_be_sent_or_probed() {
        let limited = after(&[Signal::Throttled(SECOND)]);
        let broken = after(&[Signal::Failed; 8]);
        for (pace, now, left) in [
            (Throttle::default(), 0, None),
            (limited.clone(), 0, Some(1_000)),
            (limited.clone(), 999, Some(1)),
            (limited, 1_000, None),
            (broken.clone(), 1_000, Some(4_000)),
            (broken.clone(), 4_999, Some(1)),
            (broken.clone(), 5_000, None),
            (broken, 9_000, None),
        ] {
            assert_eq!(pace.pause(now), left.map(Duration::from_millis), "{pace:?} at {now}");
        }
    }

    #[test]
    fn a_full_round_of_answers_adds_a_tenth_of_a_request_until_the_limit_is_the_configured_one() {
        let mut pace = Throttle { limit: Some(2.0), ..Throttle::default() };
        pace.observe(Signal::Answered, 0, 4);
        assert_eq!(pace.limit, Some(2.05));
        let mut pace = Throttle { limit: Some(1.9), ..Throttle::default() };
        pace.observe(Signal::Answered, 0, 2);
        assert!(pace.limit.is_some_and(|limit| limit < 2.0));
        // A lowered limit that has risen to the configured number is none any more.
        let mut pace = Throttle { limit: Some(0.1), ..Throttle::default() };
        pace.observe(Signal::Answered, 0, 1);
        assert_eq!(pace.limit, None);
    }

    fn any_signal() -> impl Strategy<Value = Signal> {
        prop_oneof![
            Just(Signal::Answered),
            Just(Signal::ProbeAnswered),
            Just(Signal::Slow),
            Just(Signal::Failed),
            (0u64..5_000).prop_map(|ms| Signal::Throttled(Duration::from_millis(ms))),
        ]
    }

    proptest! {
        #[test]
        fn no_request_is_granted_before_every_pause_is_over_nor_above_the_ceiling(
            signals in proptest::collection::vec((any_signal(), 0i64..1_000), 0..60), ceiling in 1u32..20,
        ) {
            let (mut pace, mut now, mut closed) = (Throttle::default(), 0, 0);
            for (signal, step) in signals {
                now += step;
                if let Signal::Throttled(wait) = signal {
                    closed = closed.max(now + wait.as_millis() as i64);
                }
                pace.observe(signal, now, ceiling);
                match pace.permission(now, ceiling) {
                    Permission::Granted { limit } => {
                        prop_assert!(closed <= now);
                        prop_assert!((1..=ceiling).contains(&limit));
                    }
                    // Pauses that follow one another are longer than asked for.
                    Permission::RateLimited { until } => {
                        prop_assert!(until >= closed);
                        closed = until;
                    }
                    Permission::Broken { .. } => prop_assert!(pace.breaks > 0),
                }
            }
        }
    }
}
