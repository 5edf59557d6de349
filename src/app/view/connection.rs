//! Shows connections to programs, without their keys.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::connections::{Status, days_until_expiry, known_names};
use super::super::time::{day_of, rfc3339};
use super::probe::ProbeView;
use crate::batch::Reason;
use crate::batch::render::mapping::Mapping;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::store::connections::{ConnectionRow, Interruption, Refusal, Successor, Verification};

/// A connection without its key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ConnectionView {
    tenant_id: String,
    light: &'static str,
    note: String,
    account: String,
    project_id: u64,
    folder_id: u64,
    project_name: Option<String>,
    folder_path: Option<String>,
    /// When the names were seen, if the last verification did not show them.
    names_as_of: Option<String>,
    api_key_expires_on: Option<String>,
    api_key_days_left: Option<i32>,
    verified: bool,
    verified_at: Option<String>,
    checked_at: Option<String>,
    verification: Option<Verification>,
    /// What kept the last verification of a connection that works from being completed.
    interruption: Option<FailureView>,
    last_success_at: Option<String>,
    last_refusal: Option<FailureView>,
    change_not_in_force: Option<ChangeView>,
    probe: Option<ProbeView>,
    version: String,
    /// The file in tenants.directory that the connection was taken from, if it was.
    file: Option<String>,
    #[schemars(with = "Map<String, Value>")]
    mapping: MappingSpec,
    #[schemars(with = "Option<Map<String, Value>>")]
    resolved_mapping: Option<Mapping>,
}

impl ConnectionView {
    /// Shows a connection and its state at `now`, in milliseconds since 1970.
    pub fn of(row: &ConnectionRow, status: &Status, now: i64) -> Self {
        let (today, names) = (day_of(now), known_names(row));
        Self {
            tenant_id: row.tenant.to_string(),
            light: status.light.name(),
            note: status.note(),
            account: row.origin.clone(),
            project_id: row.project,
            folder_id: row.folder,
            project_name: names.project.map(Into::into),
            folder_path: names.folder.map(Into::into),
            names_as_of: names.as_of.and_then(rfc3339),
            api_key_expires_on: row.expires_on.clone(),
            api_key_days_left: days_until_expiry(row, today),
            verified: row.is_verified(),
            verified_at: row.verified_at.and_then(rfc3339),
            checked_at: row.checked_at.and_then(rfc3339),
            verification: row.finding.clone(),
            interruption: row.seen.interruption.as_ref().map(FailureView::of_interruption),
            last_success_at: row.last_success_at.and_then(rfc3339),
            last_refusal: row.refusal.as_ref().map(FailureView::of_refusal),
            change_not_in_force: row.successor.as_deref().map(ChangeView::of),
            probe: ProbeView::of(row),
            version: row.version.clone(),
            file: row.source.as_ref().map(|source| source.file.clone()),
            mapping: row.mapping.clone(),
            resolved_mapping: row.resolved.clone(),
        }
    }
}

/// What a request of a batch was refused with, since which no case has arrived, or what a verification met.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct FailureView {
    reason: Reason,
    detail: String,
    at: Option<String>,
}

impl FailureView {
    fn of_refusal(refusal: &Refusal) -> Self {
        Self { reason: refusal.reason, detail: refusal.detail.clone(), at: rfc3339(refusal.at) }
    }

    fn of_interruption(met: &Interruption) -> Self {
        Self { reason: met.reason, detail: met.detail.clone(), at: rfc3339(met.at) }
    }
}

/// What was entered last and is not in force, without its key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct ChangeView {
    account: String,
    project_id: u64,
    folder_id: u64,
    api_key_expires_on: Option<String>,
    verification: Verification,
    checked_at: Option<String>,
    next_check_at: Option<String>,
    version: String,
    #[schemars(with = "Map<String, Value>")]
    mapping: MappingSpec,
}

impl ChangeView {
    fn of(next: &Successor) -> Self {
        Self {
            account: next.origin.clone(),
            project_id: next.project,
            folder_id: next.folder,
            api_key_expires_on: next.expires_on.clone(),
            verification: next.finding.clone(),
            checked_at: rfc3339(next.checked_at),
            next_check_at: next.recheck_at.and_then(rfc3339),
            version: next.version.clone(),
            mapping: next.mapping.clone(),
        }
    }
}
