//! Shows connections to programs, without their keys.

use serde::Serialize;

use super::super::connections::{StatusLight, days_until_expiry, note};
use super::super::time::{day_of, rfc3339};
use crate::batch::render::mapping::Mapping;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::store::connections::{ConnectionRow, Verification};

/// A connection without its key.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionView {
    tenant_id: String,
    light: &'static str,
    note: String,
    account: String,
    project_id: u64,
    folder_id: u64,
    api_key_expires_on: Option<String>,
    api_key_days_left: Option<i32>,
    verified: bool,
    verified_at: Option<String>,
    checked_at: Option<String>,
    verification: Option<Verification>,
    last_success_at: Option<String>,
    version: String,
    mapping: MappingSpec,
    resolved_mapping: Option<Mapping>,
}

impl ConnectionView {
    /// Shows a connection at `now`, in milliseconds since 1970.
    pub fn of(row: &ConnectionRow, now: i64) -> Self {
        let today = day_of(now);
        Self {
            tenant_id: row.tenant.to_string(),
            light: StatusLight::of(row, today).name(),
            note: note(row, today),
            account: row.origin.clone(),
            project_id: row.project,
            folder_id: row.folder,
            api_key_expires_on: row.expires_on.clone(),
            api_key_days_left: days_until_expiry(row, today),
            verified: row.is_verified(),
            verified_at: row.verified_at.and_then(rfc3339),
            checked_at: row.checked_at.and_then(rfc3339),
            verification: row.finding.clone(),
            last_success_at: row.last_success_at.and_then(rfc3339),
            version: row.version.clone(),
            mapping: row.mapping.clone(),
            resolved_mapping: row.resolved.clone(),
        }
    }
}
