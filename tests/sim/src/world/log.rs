//! Which requests did an account see, and how did each end?

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::faults::Fault;
use crate::request::Method;
use crate::time::Time;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRecord {
    /// Its number, from 1, in order of arrival.
    pub seq: u64,
    /// When it was complete, in milliseconds since 1970.
    pub received_at: Time,
    /// When the answer went out or the connection was cut; none while the request is under way.
    pub answered_at: Option<Time>,
    /// The verb.
    pub method: Method,
    /// The path with the query, after the account's prefix.
    pub path: String,
    /// How it was authenticated; the key itself is never kept.
    pub key: KeyUse,
    /// The name of the user whose key it bore.
    pub user: Option<String>,
    /// The names of the cases in the body, in order.
    pub case_names: Vec<String>,
    /// The status that was sent; none when nothing was.
    pub status: Option<u16>,
    /// Whether the connection was cut, wholly or after half of the answer.
    pub is_cut: bool,
    /// Whether the caller had gone before the answer.
    pub is_abandoned: bool,
    /// Whether it changed what the account holds.
    pub is_committed: bool,
    /// The ids of the rows it made.
    pub created: Vec<u64>,
    /// The fault that was ordered for it.
    pub fault: Option<Fault>,
    /// Whether the token bucket refused it.
    pub is_throttled: bool,
}

/// What a request said about who it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// No key.
    Absent,
    /// A key that no user has, or that was revoked.
    Unknown,
    /// A user's working key.
    Known,
}

/// The last requests of an account; the oldest go first when there are too many.
#[derive(Clone, Debug, Default)]
pub struct Log {
    records: VecDeque<RequestRecord>,
    last_seq: u64,
}

impl Log {
    /// The remembered requests in order of arrival.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RequestRecord> + ExactSizeIterator {
        self.records.iter()
    }

    /// Remembers a request that has arrived; gives it its number.
    pub(crate) fn push(&mut self, mut record: RequestRecord, limit: usize) -> u64 {
        self.last_seq += 1;
        record.seq = self.last_seq;
        while self.records.len() >= limit.max(1) {
            self.records.pop_front();
        }
        self.records.push_back(record);
        self.last_seq
    }

    /// The request with this number, if it is still remembered.
    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut RequestRecord> {
        let first = self.records.front()?.seq;
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.records.get_mut(index)
    }
}
