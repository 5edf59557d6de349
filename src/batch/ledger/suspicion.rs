//! Holds what is known of a case whose create requests were answered with a status that leaves their outcome unknown.

use serde::{Deserialize, Serialize};

/// What is known of a case whose create requests were answered with a status that leaves their outcome unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspicion {
    /// The latest such status.
    #[serde(rename = "s")]
    pub status: u16,
    /// How many requests in a row, with as many cases as now, were answered with such a status.
    #[serde(rename = "n")]
    pub times: u32,
    /// The most cases in the next request, if the batch was halved; 0 for a case that is held back.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub most: Option<usize>,
    /// Whether another case of the batch was created since the first such answer to this one: then the connection is
    /// not what keeps this case back.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub proven: bool,
    /// Whether another case of the batch was created since this one is held back.
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub passed: bool,
    /// Whether the case is sent alone for the last time: every other case of the batch has an end.
    #[serde(rename = "l", default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

impl Suspicion {
    pub(super) fn new(status: u16) -> Self {
        Self { status, times: 0, most: None, proven: false, passed: false, last: false }
    }
}
