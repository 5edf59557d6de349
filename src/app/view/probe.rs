//! Shows what the probes of a connection found, to programs and in a file for a bug report.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::time::rfc3339;
use crate::store::connections::{ConnectionRow, Finding, Found, LeftCase, Probe};

/// What was found about one assumption.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct FindingView {
    assumption: &'static str,
    /// Whether it holds: `holds`, `does_not_hold` or `not_seen`.
    result: Found,
    observed: String,
}

impl FindingView {
    pub(super) fn all(findings: &[Finding]) -> Vec<Self> {
        let view = |found: &Finding| Self {
            assumption: found.assumption.code(),
            result: found.result,
            observed: found.observed.clone(),
        };
        findings.iter().map(view).collect()
    }
}

/// A case that a probe left in Testmo, or may have left.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct LeftCaseView {
    project_id: u64,
    folder_id: u64,
    /// Its id, if it is known.
    case_id: Option<u64>,
    /// A part of its name.
    name_part: String,
    why: String,
}

impl LeftCaseView {
    pub(super) fn of(left: &LeftCase) -> Self {
        Self {
            project_id: left.project,
            folder_id: left.folder,
            case_id: left.case,
            name_part: left.name.clone(),
            why: left.why.clone(),
        }
    }
}

/// What is known from the probes of a connection.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ProbeView {
    probed_at: Option<String>,
    /// Whether the connection is the one that was probed.
    of_this_version: bool,
    /// When a probe last created a case.
    created_at: Option<String>,
    left_case: Option<LeftCaseView>,
    findings: Vec<FindingView>,
}

impl ProbeView {
    /// Shows what probes found about a connection, if it was probed.
    pub fn of(row: &ConnectionRow) -> Option<Self> {
        let Probe { at, created_at, left, findings, .. } = row.probe.as_deref()?.clone();
        Some(Self {
            probed_at: rfc3339(at),
            of_this_version: row.probed().is_some(),
            created_at: created_at.and_then(rfc3339),
            left_case: left.as_ref().map(LeftCaseView::of),
            findings: FindingView::all(&findings),
        })
    }
}

/// What a probe found, for people outside: no tenant, no address, no key, no person and no case.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ProbeReport {
    testmo_courier: &'static str,
    findings: Vec<FindingView>,
}

impl ProbeReport {
    /// Returns the report of a probe.
    pub fn of(probe: &Probe) -> Self {
        Self { testmo_courier: env!("CARGO_PKG_VERSION"), findings: FindingView::all(&probe.findings) }
    }
}
