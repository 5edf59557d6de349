//! Stores what becomes of batches and messages: finished, parked or already known, with the events that report it.

pub(super) mod commit;
pub(super) mod duplicate;
pub(super) mod finish;
pub(super) mod park;
pub(super) mod reasons;
pub(super) mod span;
mod timing;
