//! Shows programs the end of `tenants probe`.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::connections::Status;
use super::super::connections::probe::Done;
use super::connection::ConnectionView;
use super::probe::{FindingView, LeftCaseView};
use crate::store::connections::Verification;

/// The end of `tenants probe`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProbedView {
    tenant_id: String,
    /// Whether the result was stored.
    saved: bool,
    verification: Verification,
    findings: Vec<FindingView>,
    left_cases: Vec<LeftCaseView>,
    connection: ConnectionView,
}

impl ProbedView {
    /// Shows what a probe found, and the state of the connection at `now`, in milliseconds since 1970.
    pub fn of(done: &Done, verification: Verification, status: &Status, now: i64) -> Self {
        Self {
            tenant_id: done.row.tenant.to_string(),
            saved: done.is_saved,
            verification,
            findings: FindingView::all(&done.probe.findings),
            left_cases: done.left.iter().map(LeftCaseView::of).collect(),
            connection: ConnectionView::of(&done.row, status, now),
        }
    }
}
