//! Shows batches in lists to programs.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::batches::{Tally, links};
use super::super::time::rfc3339;
use crate::batch::ledger::BatchRecord;

/// A batch without its single cases.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BatchView {
    tenant_id: String,
    batch_id: String,
    state: &'static str,
    revision: u32,
    cases: TallyView,
    first_seen_at: Option<String>,
    finished_at: Option<String>,
    links: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
struct TallyView {
    total: usize,
    created: usize,
    updated: usize,
    left: usize,
    refused: usize,
    unclear: usize,
    waiting: usize,
    not_sent: usize,
}

impl BatchView {
    /// Shows a batch.
    pub fn of(record: &BatchRecord) -> Self {
        let Tally { created, updated, left, refused, unclear, waiting, not_sent } = Tally::of(record);
        Self {
            tenant_id: record.key.tenant.to_string(),
            batch_id: record.key.batch.as_str().to_owned(),
            state: record.state.name(),
            revision: record.revision,
            cases: TallyView { total: record.cases.len(), created, updated, left, refused, unclear, waiting, not_sent },
            first_seen_at: rfc3339(record.first_seen_at),
            finished_at: record.settled_at.and_then(rfc3339),
            links: links(record).collect(),
        }
    }
}
