//! Does what is due now and then: verification, reminders, pruning, and looking after the neighbours.

mod every;
mod gauges;
pub(super) mod health;
pub(super) mod key_expiry;
pub(super) mod late_duplicates;
pub(super) mod prune;
pub(super) mod reverify;
