//! Shows groups of the shelf to programs.

use serde::Serialize;

use super::super::shelf::Group;
use super::super::time::rfc3339;

/// Everything on the shelf that has one cause.
#[derive(Clone, Debug, Serialize)]
pub struct GroupView {
    id: String,
    reason: Option<&'static str>,
    title: Option<&'static str>,
    remedy: Option<&'static str>,
    detail: String,
    entries: u64,
    dead: u64,
    parked: u64,
    is_complete: bool,
    tenants: Vec<TenantShareView>,
    first_arrived_at: Option<String>,
    last_shelved_at: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct TenantShareView {
    tenant_id: Option<String>,
    entries: u64,
}

impl From<&Group> for GroupView {
    fn from(group: &Group) -> Self {
        let tenants = group.tenants.iter().map(|(tenant, entries)| TenantShareView {
            tenant_id: tenant.as_ref().map(ToString::to_string),
            entries: *entries,
        });
        Self {
            id: group.cause.to_string(),
            reason: group.reason.map(|reason| reason.code()),
            title: group.reason.map(|reason| reason.title()),
            remedy: group.reason.map(|reason| reason.remedy()),
            detail: group.shape.clone(),
            entries: group.entries(),
            dead: group.dead,
            parked: group.parked,
            is_complete: group.is_all,
            tenants: tenants.collect(),
            first_arrived_at: rfc3339(group.first_at),
            last_shelved_at: rfc3339(group.last_at),
        }
    }
}
