//! Draws what happens to one request on its way to Testmo, at Testmo, and on the way back.

use std::time::Duration;

use testmo_courier::config;

use crate::weather::Weather;

const MS: Duration = Duration::from_millis(1);

/// The purpose of a request, as far as faults depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The request creates cases or a folder.
    Creates,
    /// The request changes or deletes cases.
    Changes,
    /// The request only reads.
    Reads,
}

/// The fate of one request; times count from the moment the request began to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    /// When the request takes effect at Testmo; `None` if it never does.
    pub(crate) commits: Option<Duration>,
    /// When the caller learns the end. If this is after the time limit, the request times out.
    pub(crate) ends: Duration,
    /// What the caller learns.
    pub(crate) end: End,
}

/// What a caller learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The honest answer.
    Answer,
    /// The honest answer without its last entry.
    Short,
    /// Bytes that are not JSON.
    Garbled,
    /// An answer with this status.
    Status { status: u16, retry_after: Option<u64> },
    /// The connection broke.
    Cut,
    /// The connection was not established.
    NoConnection,
    /// The host name was not found.
    NoHost,
}

impl Course {
    /// Draws the fate of a request.
    pub(crate) fn draw(weather: &Weather, config: &config::Testmo, purpose: Purpose) -> Self {
        let rates = weather.rates();
        let rate = if purpose == Purpose::Reads { rates.read } else { rates.create };
        let latency = if let Some(takes) = rates.request_takes {
            takes
        } else if weather.is_calm() {
            weather.ms(5..20)
        } else if weather.chance(rates.slow) {
            weather.ms(1_000..millis(config.request_timeout) - 1)
        } else {
            weather.ms(2..200)
        };
        if weather.chance(rate) {
            return Self::failing(weather, config, purpose, latency);
        }
        Self { commits: Some(latency), ends: latency, end: End::Answer }
    }

    /// Returns whether the request takes effect after the settle time, for which the worker promises nothing.
    pub(crate) fn is_late(&self, config: &config::Testmo) -> bool {
        let end = self.ends.min(config.request_timeout);
        let answered = matches!(self.end, End::Status { status: 500 | 503, .. });
        let settle = if answered { config.reconcile_delay_answered } else { config.reconcile_delay_unanswered };
        self.commits.is_some_and(|at| at >= end + settle)
    }

    fn failing(weather: &Weather, config: &config::Testmo, purpose: Purpose, latency: Duration) -> Self {
        let limit = config.request_timeout;
        let (settle, soon) = (config.reconcile_delay_unanswered, config.reconcile_delay_answered);
        let too_late = purpose == Purpose::Creates && weather.chance(weather.rates().too_late);
        // The latest time that still keeps to the settle time, or a time well beyond it.
        let within = |end: Duration, settle: Duration| {
            if too_late {
                end + settle + weather.ms(1..millis(settle) * 2)
            } else {
                (end + weather.ms(0..millis(settle))).saturating_sub(MS)
            }
        };
        let maybe = |at: Duration| weather.flip().then_some(at);
        let status = |status, retry_after| End::Status { status, retry_after };
        let none = |end| Self { commits: None, ends: latency, end };
        match weather.pick(17) {
            // No answer; the request takes effect before the caller gives up, after that, or never.
            0..4 => {
                let early = weather.ms(1..millis(limit));
                let commits = if weather.flip() { maybe(early) } else { Some(within(limit, settle)) };
                Self { commits, ends: limit * 2, end: End::Answer }
            }
            4..6 => Self { commits: maybe(within(latency, settle)), ends: latency, end: End::Cut },
            6 => Self { commits: Some(latency), ends: latency + weather.ms(0..50), end: End::Cut },
            7 => {
                let commits = if weather.flip() { maybe(latency / 2) } else { Some(within(latency, soon)) };
                Self { commits, ends: latency, end: status(if weather.flip() { 500 } else { 503 }, None) }
            }
            8 | 9 => {
                let commits = if weather.flip() { maybe(latency / 2) } else { Some(within(latency, settle)) };
                Self { commits, ends: latency, end: status(if weather.flip() { 502 } else { 504 }, None) }
            }
            10 => none(status(429, Some(u64::from(weather.pick(8))))),
            11 => none(status(429, None)),
            12 => Self { commits: Some(latency), ends: latency, end: End::Garbled },
            // Cases that are never found would be left to a person, so this request is always carried out.
            16 => Self { commits: Some(within(latency, settle)), ends: latency, end: status(408, None) },
            13 if purpose != Purpose::Reads => Self { commits: Some(latency), ends: latency, end: End::Short },
            13 | 14 => Self { ends: weather.ms(1..millis(config.connect_timeout)), ..none(End::NoConnection) },
            _ => none(End::NoHost),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weather::Rates;

    #[test]
    fn unless_it_is_asked_for_nothing_takes_effect_after_the_settle_time() {
        let config = crate::stage::config().testmo;
        for too_late in [0, 100] {
            let rates = Rates { create: 100, slow: 50, too_late, ..Rates::default() };
            let weather = Weather::new(7, rates);
            let mut late = 0;
            for _ in 0..10_000 {
                let course = Course::draw(&weather, &config, Purpose::Creates);
                late += u32::from(course.is_late(&config));
            }
            assert_eq!(late > 0, too_late > 0, "{late} came too late");
        }
    }
}
