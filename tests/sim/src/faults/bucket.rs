//! Decides whether an account may send another request now.

use serde::{Deserialize, Serialize};

use crate::response::Response;
use crate::time::Time;

/// How an account is throttled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// How many requests may arrive at once.
    pub capacity: u32,
    /// How many requests are granted per minute in the long run.
    pub per_minute: u32,
    /// What a 429 says about the wait.
    #[serde(default)]
    pub retry_after: RetryAfterForm,
    /// By how many milliseconds each call lengthens a pause that has already begun (documented, but not by how much).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengthen_ms: Option<u64>,
}

/// The form of `Retry-After`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfterForm {
    /// Whole seconds until the next request is granted, at least 1.
    #[default]
    Seconds,
    /// An HTTP date.
    Date,
    /// No header.
    None,
}

/// A token bucket in exact integers: one request costs 60,000 and a millisecond brings `per_minute`.
#[derive(Clone, Debug)]
pub struct Bucket {
    limit: RateLimit,
    level: u64,
    at: Time,
    blocked_until: Option<Time>,
}

/// A request's price: the milliseconds of a minute.
const COST: u64 = 60_000;

impl Bucket {
    /// Returns a full bucket.
    pub fn filled(limit: RateLimit, now: Time) -> Self {
        let level = u64::from(limit.capacity) * COST;
        Self { limit, level, at: now, blocked_until: None }
    }

    /// Returns the limit of the bucket.
    pub fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Takes a token; returns `None` if the request may pass, or else the 429.
    pub fn take(&mut self, now: Time) -> Option<Response> {
        self.fill(now);
        if let Some(until) = self.blocked_until.filter(|until| *until > now) {
            let longer = i64::try_from(self.limit.lengthen_ms.unwrap_or(0)).unwrap_or(i64::MAX);
            self.blocked_until = Some(until.plus(longer));
            return Some(self.refusal(until.plus(longer), now));
        }
        self.blocked_until = None;
        match self.level.checked_sub(COST) {
            Some(rest) => {
                self.level = rest;
                None
            }
            None => {
                let until = self.next_token(now);
                self.blocked_until = self.limit.lengthen_ms.map(|_| until);
                Some(self.refusal(until, now))
            }
        }
    }

    fn fill(&mut self, now: Time) {
        let passed = u64::try_from(now.0 - self.at.0).unwrap_or(0);
        let gained = passed.saturating_mul(u64::from(self.limit.per_minute));
        let full = u64::from(self.limit.capacity) * COST;
        self.level = self.level.saturating_add(gained).min(full);
        self.at = self.at.max(now);
    }

    fn next_token(&self, now: Time) -> Time {
        let missing = COST.saturating_sub(self.level);
        let wait = missing.div_ceil(u64::from(self.limit.per_minute.max(1)));
        now.plus(i64::try_from(wait).unwrap_or(i64::MAX))
    }

    /// Returns the 429. The body is Laravel's; Testmo's was not recorded.
    fn refusal(&self, until: Time, now: Time) -> Response {
        let refusal = Response::message(429, "Too Many Attempts.").dated(now);
        let seconds = u64::try_from(until.0 - now.0).unwrap_or(0).div_ceil(1000).max(1);
        match self.limit.retry_after {
            RetryAfterForm::Seconds => refusal.with_header("retry-after", seconds.to_string()),
            // Dates carry whole seconds and are rounded up, so that a caller who waits until then is granted a request.
            RetryAfterForm::Date => refusal.with_header("retry-after", until.plus(999).of_header()),
            RetryAfterForm::None => refusal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(capacity: u32, per_minute: u32, lengthen_ms: Option<u64>) -> Bucket {
        let retry_after = RetryAfterForm::Seconds;
        Bucket::filled(RateLimit { capacity, per_minute, retry_after, lengthen_ms }, Time(0))
    }

    /// Returns the seconds to wait that each call is answered with; 0 for a call that passed.
    fn waits(bucket: &mut Bucket, moments: &[i64]) -> Vec<u64> {
        let wait = |at: &i64| bucket.take(Time(*at)).map_or(0, |r| r.header("retry-after").unwrap().parse().unwrap());
        moments.iter().map(wait).collect()
    }

    #[test]
    fn a_burst_passes_and_then_one_request_per_token() {
        let mut bucket = bucket(2, 30, None);
        assert_eq!(waits(&mut bucket, &[0, 0, 0, 1_999, 2_000, 2_000, 4_000]), [0, 0, 2, 1, 0, 2, 0]);
    }

    #[test]
    fn calling_on_while_blocked_lengthens_the_block() {
        let mut bucket = bucket(1, 60, Some(2_000));
        assert_eq!(waits(&mut bucket, &[0, 0, 500, 2_999, 3_000, 5_000]), [0, 1, 3, 3, 2 + 2, 2 + 2]);
    }

    #[test]
    fn idle_time_never_fills_more_than_the_capacity() {
        let mut bucket = bucket(2, 60, None);
        assert_eq!(waits(&mut bucket, &[600_000, 600_000, 600_000]), [0, 0, 1]);
    }

    #[test]
    fn the_wait_is_told_in_the_ordered_form() {
        for (form, told) in [
            (RetryAfterForm::Seconds, Some("1")),
            (RetryAfterForm::Date, Some("Thu, 01 Jan 1970 00:00:01 GMT")),
            (RetryAfterForm::None, None),
        ] {
            let limit = RateLimit { capacity: 0, per_minute: 120, retry_after: form, lengthen_ms: None };
            let refusal = Bucket::filled(limit, Time(0)).take(Time(0)).unwrap();
            assert_eq!((refusal.status, refusal.header("retry-after")), (429, told));
        }
    }
}
