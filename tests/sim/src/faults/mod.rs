//! Holds the faults that are ordered for an account; nothing here is random.

mod bucket;
mod course;
mod rule;

pub use bucket::{Bucket, RateLimit, RetryAfterForm};
pub use course::{Course, Delivery, Hold};
pub use rule::{CommitTime, CutAt, Fault, PathKind, RetryAfter, Rule};

use crate::request::Request;
use crate::time::Time;

/// The faults that are ordered for one account.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    rules: Vec<Rule>,
    /// How often the rules were replaced.
    orders: u64,
    bucket: Option<Bucket>,
}

impl Faults {
    /// Replaces all rules, and releases the requests that they hold. The first rule that matches a request decides.
    pub fn set(&mut self, rules: Vec<Rule>) {
        self.orders += 1;
        self.rules = rules;
    }

    /// Adds a rule after the others.
    pub fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Returns whether the faults that hold a request are still those of the account.
    pub fn hold(&self, hold: Hold) -> bool {
        self.orders == hold.orders
    }

    /// Returns the rules that still apply, with their remaining counts.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Throttles the account from now on, or ends throttling.
    pub fn limit(&mut self, limit: Option<RateLimit>, now: Time) {
        self.bucket = limit.map(|limit| Bucket::filled(limit, now));
    }

    /// Returns how the account is throttled.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        self.bucket.as_ref().map(Bucket::limit)
    }

    /// Decides the course of a request that takes `latency_ms` without faults.
    ///
    /// A throttled request uses up no rule.
    pub fn course(&mut self, request: &Request, latency_ms: u64, now: Time) -> Course {
        if let Some(refusal) = self.bucket.as_mut().and_then(|bucket| bucket.take(now)) {
            return Course::throttled(refusal);
        }
        let fault = self.rules.iter_mut().find_map(|rule| rule.claim(request));
        self.rules.retain(|rule| rule.times != Some(0));
        Course::of(fault, self.orders, latency_ms, now)
    }
}
