//! Decides whether a request may be sent to an account now and how many at once, from its rate-limit pause, limit and
//! circuit breaker.
//!
//! All workers and commands share the value: it is kept in the account's row of the store, and changed only there.

#[cfg(test)]
mod tests;

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

    /// Ends the rate-limit pause and closes the circuit breaker, as a person orders at `now`; returns whether anything was
    /// ended. One request goes first. If it fails or is refused, the account is closed again, for longer than before.
    pub fn open(&mut self, now: i64) -> bool {
        let was_closed = self.rate_limited_until > now || self.breaker_until.is_some();
        if was_closed {
            self.on_trial();
            (self.rate_limited_until, self.limit) = (self.rate_limited_until.min(now), Some(1.0));
        }
        was_closed
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
