//! Decides whose turn it is, which cases go into one request, and which batches are too many to wait in memory.
//!
//! | file | responsibility |
//! | --- | --- |
//! | `ticket` | describes an entry that waits for its turn |
//! | `lanes` | decides which account's turn it is |
//! | `account` | decides which tenant's turn it is, and which entries cannot be sent soon |
//! | `queue` | decides which of a tenant's cases go into the next request |
//! | `bisect` | finds the case that made Testmo refuse a whole request |
//! | `doubt` | decides whether an account may hang |
//! | `throughput` | measures how fast an account takes requests |
//!
//! Invariant: lanes are a value. They start nothing, wait for nothing and read no clock.

mod account;
mod bisect;
mod doubt;
mod lanes;
mod queue;
#[cfg(test)]
mod tests;
mod throughput;
mod ticket;

pub use account::{LaneView, TenantView};
pub use lanes::Lanes;
pub use ticket::{Pack, QueueClass, QueuePosition, Report, RequestOutcome, RequestReport, Ticket, Work};

/// The limits that lanes keep to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most cases in a request.
    pub max_cases: usize,
    /// The most bytes in a request.
    pub max_bytes: usize,
    /// Whether cases of several batches may go into one request.
    pub pack: bool,
    /// The most requests to one account at once, from this worker.
    pub concurrency: usize,
    /// The most requests at once, from this worker.
    pub in_flight: usize,
    /// How many entries of a lane may wait for a time while they count against the broker's prefetch limit.
    pub pausing: usize,
    /// The most memory that waiting entries may take before the worker stops taking batches off the shelf, in bytes.
    pub memory: usize,
}
