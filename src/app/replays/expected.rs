//! Holds what a plan says of one entry of the shelf.

use crate::batch::replay::Forecast;
use crate::batch::{BatchId, TenantId};
use crate::replay::{NotReplayable, Subject};
use crate::store::shelf::Shelved;

/// What the plan says of one entry.
pub(super) struct Expected {
    pub(super) forecast: Forecast,
    pub(super) detail: Option<String>,
    pub(super) cases: u64,
    pub(super) account: Option<String>,
}

/// Returns that an entry cannot be replayed, and why.
pub(super) fn impossible(why: String) -> Expected {
    Expected { forecast: Forecast::Impossible, detail: Some(why), cases: 0, account: None }
}

/// Returns whose an entry is: the message of one that was shelved undecoded says it.
pub(super) fn named(row: &Shelved, subject: &Result<Subject, NotReplayable>) -> (Option<TenantId>, Option<BatchId>) {
    let (tenant, batch) = match subject {
        Ok(Subject { key, .. }) => (Some(&key.tenant), Some(&key.batch)),
        Err(_) => row.content.identity.names(),
    };
    (tenant.cloned(), batch.cloned())
}
