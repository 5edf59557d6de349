//! Holds what is known of a case whose create requests were answered with a status that does not tell their outcome.

use serde::{Deserialize, Serialize};

/// What is known of a case whose create requests were answered with a status that does not tell their outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// The latest such status.
    #[serde(rename = "s")]
    pub status: u16,
    /// How many requests in a row were answered so, since they have as many cases as now.
    #[serde(rename = "n")]
    pub times: u32,
    /// The most cases in the next request, where the batch was halved; 0 for a case that is held back.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub most: Option<usize>,
    /// Whether another case of the batch was created since this one was first answered so: then it is not the
    /// connection that keeps this one back.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub proven: bool,
    /// The same, since this one is held back.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub passed: bool,
    /// Whether it goes alone for the last time: every other case of the batch has an end.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

impl Suspicion {
    pub(super) fn new(status: u16) -> Self {
        Self { status, times: 0, most: None, proven: false, passed: false, last: false }
    }
}
