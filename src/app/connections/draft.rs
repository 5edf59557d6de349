//! Drafts a mapping for a tenant from what the tenant's project was seen to have.

use super::super::time::rfc3339;
use super::lookup::names;
use crate::batch::TenantId;
use crate::batch::render::draft;
use crate::store::connections::ConnectionRow;

/// Why a mapping cannot be drafted.
#[derive(Debug, thiserror::Error)]
#[error("it is not known which fields the project of {0} has")]
pub struct NotRead(pub TenantId);

/// Returns a mapping with comments, as a text that `tenants set --mapping` takes.
///
/// # Errors
/// When the fields of the project are not known.
pub fn draft(row: &ConnectionRow) -> Result<String, NotRead> {
    let ((project, _), tenant) = (names(row), &row.tenant);
    let read = row.fields.project().read_at.and_then(rfc3339).unwrap_or_default();
    let heading = [
        format!("A mapping for tenant {tenant}, from what project {project} had at {read}."),
        "Save it as mapping.json, edit it, and enter it:".into(),
        format!("testmo-courier tenants set {tenant} --mapping mapping.json"),
    ];
    draft::draft(&heading, &row.fields).ok_or_else(|| NotRead(tenant.clone()))
}
