//! Shows discarded and restored entries to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::plan::batch_label;
use super::super::restore_entry::{Discarded, Restored};
use super::super::time::rfc3339;
use crate::batch::Reason;

/// A discarded entry without its message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct DiscardedView {
    id: String,
    batch: String,
    tenant_id: Option<String>,
    state: &'static str,
    reason: Reason,
    detail: Option<String>,
    arrived_at: Option<String>,
    discarded_at: Option<String>,
    discarded_by: String,
    because: Option<String>,
}

/// An entry that is on the shelf again.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RestoredView {
    id: String,
    batch: String,
    batch_reopened: bool,
    retried_automatically: bool,
}

impl DiscardedView {
    /// Shows a discarded entry.
    pub fn of(discarded: &Discarded) -> Self {
        let entry = &discarded.entry;
        Self {
            id: entry.id.to_string(),
            batch: batch_label(entry),
            tenant_id: entry.tenant().map(ToString::to_string),
            state: entry.state.name(),
            reason: entry.content.reason,
            detail: entry.content.detail.clone(),
            arrived_at: rfc3339(entry.content.arrived_at),
            discarded_at: rfc3339(discarded.at),
            discarded_by: discarded.by.clone(),
            because: discarded.because.clone(),
        }
    }
}

impl RestoredView {
    /// Shows a restored entry.
    pub fn of(restored: &Restored) -> Self {
        Self {
            id: restored.entry.id.to_string(),
            batch: restored.entry.batch.clone(),
            batch_reopened: restored.is_reopened,
            retried_automatically: restored.is_parked,
        }
    }
}
