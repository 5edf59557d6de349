//! What has to be known of something that waits, to give it its turn?

use std::sync::Arc;

use tokio::time::Instant;

use crate::batch::TenantId;

/// What a lane knows of an entry; the entry itself is none of its business.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The account it goes to.
    pub account: Arc<str>,
    /// Whose it is.
    pub tenant: TenantId,
    /// The connection version it goes over: entries of two versions are never sent together.
    pub version: Arc<str>,
    /// What is to be done with it.
    pub work: Work,
    /// For an entry that goes into a request of its own: the most of its cases in it.
    pub apart: Option<usize>,
    /// In which of the tenant's two queues it waits.
    pub class: QueueClass,
    /// When it first arrived, in milliseconds on the store's clock: its place among the first tries.
    pub arrived_at: i64,
    /// Since when it has been in hand.
    pub since: Instant,
    /// Whether the broker counts it against the prefetch limit until it is acknowledged.
    pub in_window: bool,
    /// How much memory it takes, in bytes.
    pub bytes: usize,
}

/// What is to be done with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Something that it does alone, such as finding its folder.
    Alone,
    /// Cases to be sent, in this order; each takes so many bytes of a request.
    Cases(Vec<usize>),
}

/// A tenant's two queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueClass {
    /// What is tried for the first time, in order of arrival.
    First,
    /// What is tried again: retries and replays. It gets at least one turn in ten.
    Again,
}

/// Where something joins its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueuePosition {
    /// First tries by arrival, others behind what waits.
    Back,
    /// Before it, as it has begun already.
    Front,
    /// Behind, but not before a time.
    NotBefore(Instant),
}

/// What is worked on together: one entry alone, or the cases of several in one request.
#[derive(Debug)]
pub struct Pack<E> {
    /// The account.
    pub account: Arc<str>,
    /// The tenant.
    pub tenant: TenantId,
    /// The entries in order, each with how many of its cases go; 0 for one that is worked on alone.
    pub parts: Vec<(E, usize)>,
    /// Whether so many requests of the tenant in a row were refused as a whole that one more puts the blame on the
    /// connection.
    pub last_try: bool,
}

/// How the work on a pack went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many requests it took.
    pub requests: u32,
    /// How the request that creates cases ended, if one was sent.
    pub push: Option<RequestReport>,
}

/// How a request that creates cases ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestReport {
    /// How many cases it had.
    pub cases: usize,
    /// How long it took.
    pub took: std::time::Duration,
    /// What came of it.
    pub end: RequestOutcome,
}

/// What came of a request that creates cases, as far as a lane is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// Cases were created.
    Created,
    /// It was refused as a whole, without a word about which case is to blame.
    RefusedWhole {
        /// Whether it may be the connection's fault.
        counts: bool,
    },
    /// Anything else.
    Other,
}
