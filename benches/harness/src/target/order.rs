//! Defines the orders to the target and its answers, each one line of JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// An order to the target.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Forget everything, and behave like this from now on.
    Reset(Manner),
    /// Report what happened since the last reset.
    Report,
    /// Report, by account, the refusals since the last reset.
    Refusals,
}

/// How the target behaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manner {
    /// How long an answer takes, in milliseconds; a refusal by 429 takes no time.
    pub(crate) latency_ms: u64,
    /// How many of a hundred create requests are answered 503 the first time, with nothing created.
    pub(crate) faults_percent: u64,
    /// The bucket of every account; without it, requests are not limited.
    pub(crate) bucket: Option<Bucket>,
    /// Accounts that refuse every request, each with the pause in its answers, in seconds.
    pub(crate) closed: BTreeMap<String, u64>,
    /// Accounts that refuse the key of every request.
    pub(crate) revoked: BTreeSet<String>,
}

/// A token bucket; it starts full.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    /// The most tokens that the bucket holds.
    pub(crate) capacity: f64,
    /// How many tokens the bucket gains per second.
    pub(crate) per_second: f64,
}

/// What happened since the last reset. Times are in microseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// All requests.
    pub(crate) requests: u64,
    /// Create requests among them.
    pub(crate) creates: u64,
    /// Lists of cases among them.
    pub(crate) lists: u64,
    /// Answers by status.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Cases created.
    pub(crate) cases: u64,
    /// Cases with a name that their account already had.
    pub(crate) duplicates: u64,
    /// The most requests that were in flight at once.
    pub(crate) most_at_once: usize,
    /// When the first create request arrived.
    pub(crate) first_create: Option<i64>,
    /// When the last case was created.
    pub(crate) last_case: Option<i64>,
}

/// A request that was refused by 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// When the request was refused, in microseconds since 1970.
    pub(crate) at: i64,
    /// The pause in the answer, in seconds.
    pub(crate) retry_after: u64,
}

/// Refusals by account.
pub(crate) type Refusals = BTreeMap<String, Vec<Refusal>>;
