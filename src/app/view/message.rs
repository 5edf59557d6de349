//! Shows to programs what was found in a message.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::messages::{Finding, Message, TenantCheck};
use super::super::time::rfc3339;
use crate::batch::TenantId;

/// What was found in a message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MessageView {
    file: String,
    batch: Option<String>,
    deliverable_cases: usize,
    faults: Vec<Finding>,
    warnings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantCheckView>,
}

/// What a tenant's Testmo will probably refuse of a message.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct TenantCheckView {
    tenant_id: String,
    read_at: Option<String>,
    notes: Vec<String>,
    findings: Vec<Finding>,
}

impl MessageView {
    /// Shows a message that was read from a file of this name.
    pub fn of(file: &str, message: &Message) -> Self {
        Self {
            file: file.to_owned(),
            batch: message.key.as_ref().map(ToString::to_string),
            deliverable_cases: message.cases,
            faults: message.faults.clone(),
            warnings: message.warnings.clone(),
            tenant: None,
        }
    }

    /// Shows what was found for a tenant, too.
    pub fn checked_for(self, tenant: &TenantId, check: &TenantCheck) -> Self {
        let tenant = TenantCheckView {
            tenant_id: tenant.to_string(),
            read_at: check.read_at.and_then(rfc3339),
            notes: check.notes.clone(),
            findings: check.findings.clone(),
        };
        Self { tenant: Some(tenant), ..self }
    }
}
