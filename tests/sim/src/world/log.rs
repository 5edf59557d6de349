//! Records the requests that an account received, and how each ended.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::faults::Fault;
use crate::request::Method;
use crate::time::Time;

/// The record of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRecord {
    /// Its number, from 1, in order of arrival.
    pub seq: u64,
    /// When the request was complete, in milliseconds since 1970.
    pub received_at: Time,
    /// When the answer was sent or the connection was cut; `None` while the request is in flight.
    pub answered_at: Option<Time>,
    /// The verb.
    pub method: Method,
    /// The path with the query, after the account's prefix.
    pub path: String,
    /// How the request was authenticated; the key itself is never kept.
    pub key: KeyUse,
    /// The name of the user with this key.
    pub user: Option<String>,
    /// The names of the cases in the body, in order.
    pub case_names: Vec<String>,
    /// The ids in the body, of the cases that the request is to change or delete.
    pub ids: Vec<u64>,
    /// The columns that it is to change.
    pub columns: Vec<String>,
    /// The status that was sent; `None` if nothing was sent.
    pub status: Option<u16>,
    /// Whether the connection was cut, before the answer or after half of it.
    pub is_cut: bool,
    /// Whether the caller had gone before the answer.
    pub is_abandoned: bool,
    /// Whether the request changed the account.
    pub is_committed: bool,
    /// The ids of the rows that the request created.
    pub created: Vec<u64>,
    /// The fault that was ordered for the request.
    pub fault: Option<Fault>,
    /// Whether the token bucket refused the request.
    pub is_throttled: bool,
    /// The header `traceparent`, if one was sent.
    pub traceparent: Option<String>,
}

/// The key of a request.
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

/// The last requests of an account; the oldest are removed first if there are too many.
#[derive(Clone, Debug, Default)]
pub struct Log {
    records: VecDeque<RequestRecord>,
    last_seq: u64,
}

impl Log {
    /// Returns the remembered requests in order of arrival.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &RequestRecord> + ExactSizeIterator {
        self.records.iter()
    }

    /// Records a request that has arrived, and returns its number.
    pub(crate) fn push(&mut self, mut record: RequestRecord, limit: usize) -> u64 {
        self.last_seq += 1;
        record.seq = self.last_seq;
        while self.records.len() >= limit.max(1) {
            self.records.pop_front();
        }
        self.records.push_back(record);
        self.last_seq
    }

    /// Returns the request with this number, if it is still remembered.
    pub(crate) fn get_mut(&mut self, seq: u64) -> Option<&mut RequestRecord> {
        let first = self.records.front()?.seq;
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.records.get_mut(index)
    }
}
