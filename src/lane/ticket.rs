//! Describes an entry that waits for its turn, and the work and results that lanes hand out and take in.

use std::sync::Arc;

use tokio::time::Instant;

use crate::batch::TenantId;

/// What a lane knows of an entry; lanes never read the entry itself.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The account that the entry goes to.
    pub account: Arc<str>,
    /// The tenant that the entry belongs to.
    pub tenant: TenantId,
    /// The connection version that the entry uses: entries of two versions are never sent together.
    pub version: Arc<str>,
    /// The work to do for the entry.
    pub work: Work,
    /// The most cases in one request, for an entry that goes into requests of its own.
    pub apart: Option<usize>,
    /// The queue of the tenant that the entry waits in.
    pub class: QueueClass,
    /// When the entry first arrived, in milliseconds on the store's clock: its place among the first tries.
    pub arrived_at: i64,
    /// Since when the entry has been in hand.
    pub since: Instant,
    /// Whether the entry counts against the broker's prefetch limit until it is acknowledged.
    pub in_window: bool,
    /// How much memory the entry takes, in bytes.
    pub bytes: usize,
}

/// The work to do for an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Work that is done for this entry alone, such as finding its folder.
    Alone,
    /// Cases to be sent, in this order; each number is the size of the case in a request, in bytes.
    Cases(Vec<usize>),
}

/// The two queues of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueClass {
    /// Entries that are tried for the first time, in order of arrival.
    First,
    /// Entries that are tried again: retries and replays. They get at least one turn in ten.
    Again,
}

/// The place where an entry joins its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuePosition {
    /// By arrival for a first try, otherwise behind all waiting entries.
    Back,
    /// Before all waiting entries, because work on the entry has begun already.
    Front,
    /// Behind all waiting entries, but not before a time.
    NotBefore(Instant),
}

/// Entries that are worked on together: one entry alone, or the cases of several entries in one request.
#[derive(Debug)]
pub struct Pack<E> {
    /// The account.
    pub account: Arc<str>,
    /// The tenant.
    pub tenant: TenantId,
    /// The entries in order, each with how many of its cases are sent; 0 for an entry that is worked on alone.
    pub parts: Vec<(E, usize)>,
    /// Whether so many of the tenant's requests in a row were refused as a whole that after one more the connection
    /// counts as the cause.
    pub last_try: bool,
}

/// The end of the work on a pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many requests the work took.
    pub requests: u32,
    /// The end of the create request, if one was sent.
    pub push: Option<RequestReport>,
}

/// The end of a create request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestReport {
    /// How many cases the request had.
    pub cases: usize,
    /// How long the request took.
    pub took: std::time::Duration,
    /// The outcome of the request.
    pub end: RequestOutcome,
}

/// The outcome of a create request, as far as lanes need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Cases were created.
    Created,
    /// The request was refused as a whole, without naming the case at fault.
    RefusedWhole {
        /// Whether the connection may be at fault.
        counts: bool,
    },
    /// No answer was received in time.
    Unanswered,
    /// Nothing was sent, because the worker lacked a socket: this says nothing about the account.
    Unsent,
    /// Any other outcome.
    Other,
}
