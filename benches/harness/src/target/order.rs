//! What is said to the target, and what does it tell? One line of JSON each way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line that the target obeys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Forget everything, and behave like this from now on.
    Reset(Manner),
    /// Tell what happened since the last reset.
    Report,
    /// Tell, by account, what was refused since the last reset.
    Refusals,
}

/// How the target behaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manner {
    /// How long an answer takes, in milliseconds; a refusal by 429 takes no time.
    pub(crate) latency_ms: u64,
    /// How many of a hundred create requests are answered 503 the first time, with nothing created.
    pub(crate) faults_percent: u64,
    /// What every account may ask for; without it, as much as it likes.
    pub(crate) bucket: Option<Bucket>,
    /// Accounts that are refused everything, each with the pause that it is told, in seconds.
    pub(crate) closed: BTreeMap<String, u64>,
}

/// A token bucket; it starts full.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    /// The most tokens it holds.
    pub(crate) capacity: f64,
    /// How many it gains in a second.
    pub(crate) per_second: f64,
}

/// What happened since the last reset. Times are in microseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Requests, of whatever kind.
    pub(crate) requests: u64,
    /// Create requests among them.
    pub(crate) creates: u64,
    /// Lists of cases among them.
    pub(crate) lists: u64,
    /// Answers by status.
    pub(crate) answers: BTreeMap<u16, u64>,
    /// Cases created.
    pub(crate) cases: u64,
    /// Cases of a name that their account had already.
    pub(crate) duplicates: u64,
    /// The most requests that were being answered at once.
    pub(crate) most_at_once: usize,
    /// When the first create request arrived.
    pub(crate) first_create: Option<i64>,
    /// When the last case was created.
    pub(crate) last_case: Option<i64>,
}

/// A request that was refused by 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// When, in microseconds since 1970.
    pub(crate) at: i64,
    /// The pause that was told, in seconds.
    pub(crate) retry_after: u64,
}

/// Refusals by account.
pub(crate) type Refusals = BTreeMap<String, Vec<Refusal>>;
