//! Runs the periodic work: re-verification, late-duplicate checks, reminders of expiring keys, pruning, and health
//! checks.

mod every;
mod gauges;
pub(super) mod health;
pub(super) mod key_expiry;
pub(super) mod late_duplicates;
pub(super) mod prune;
pub(super) mod reverify;
