//! Whose turn is it, what goes into one request, and what is too much to wait in memory?
//!
//! | file | question |
//! | --- | --- |
//! | `ticket` | what has to be known of something that waits? |
//! | `lanes` | which account's turn is it? |
//! | `account` | which tenant's turn is it, and what cannot be sent soon? |
//! | `queue` | what of a tenant goes into the next request? |
//! | `bisect` | which case does Testmo mean when it refuses a whole request? |
//! | `throughput` | how fast does an account go? |
//!
//! Invariant: lanes are a value. They start nothing, wait for nothing and read no clock.

mod account;
mod bisect;
mod lanes;
mod queue;
#[cfg(test)]
mod tests;
mod throughput;
mod ticket;

pub use account::{LaneView, TenantView};
pub use lanes::Lanes;
pub use ticket::{Pack, QueueClass, QueuePosition, Report, RequestOutcome, RequestReport, Ticket, Work};

/// What lanes keep to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most cases in a request.
    pub max_cases: usize,
    /// The most bytes in a request.
    pub max_bytes: usize,
    /// Whether cases of several batches go into one request.
    pub pack: bool,
    /// The most requests to one account at once, from this worker.
    pub concurrency: usize,
    /// The most requests at once, from this worker.
    pub in_flight: usize,
    /// How many entries of a lane may wait for a time although the broker counts them.
    pub pausing: usize,
    /// The most memory that waiting entries may take before nothing more is taken off the shelf, in bytes.
    pub memory: usize,
}
