//! Runs the periodic work: re-verification, retries of what is connected now, late-duplicate checks, checks for overwritten edits,
//! reminders of expiring keys, pruning, the search, health checks, counts, and the trend.

pub(super) mod connected;
pub(super) mod counts;
mod every;
mod gauges;
pub(super) mod health;
pub(super) mod key_expiry;
pub(super) mod late_duplicates;
pub(super) mod overwritten_edits;
mod pace;
pub(super) mod prune;
pub(super) mod replays;
mod rest;
pub(super) mod reverify;
pub(super) mod search;
mod side_by_side;
pub(super) mod trend;
