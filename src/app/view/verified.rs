//! Shows programs what verifying a connection showed.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::connections::Status;
use super::super::connections::set::{Force, Saved};
use super::super::connections::verify::{ChangeEnd, Verified};
use super::connection::ConnectionView;
use crate::store::connections::Verification;

/// The end of `tenants set`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedView {
    tenant_id: String,
    /// Whether anything was stored.
    saved: bool,
    /// Whether what was entered is in force, or would be.
    in_force: bool,
    /// What verifying it showed.
    verification: Verification,
    unfilled_fields: Vec<String>,
    /// Whether another API key was replaced by one that works, and can be revoked.
    replaced_api_key: bool,
    /// What of the last change, which was not in force, is part of what was entered.
    carried_along: Vec<String>,
    /// The connection as it is stored, or would be.
    connection: ConnectionView,
}

impl SavedView {
    /// Shows a connection that was entered, and its state at `now`, in milliseconds since 1970.
    pub fn of(saved: &Saved, status: &Status, now: i64) -> Self {
        Self {
            tenant_id: saved.row.tenant.to_string(),
            saved: saved.is_saved,
            in_force: saved.force == Force::InForce,
            verification: saved.finding.clone(),
            unfilled_fields: saved.unfilled.clone(),
            replaced_api_key: saved.replaced_key,
            carried_along: saved.carried.iter().map(ToString::to_string).collect(),
            connection: ConnectionView::of(&saved.row, status, now),
        }
    }
}

/// The end of `tenants verify` for one connection.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VerifiedView {
    tenant_id: String,
    /// Whether the result was stored; it is not where the connection was changed meanwhile.
    saved: bool,
    verification: Verification,
    unfilled_fields: Vec<String>,
    /// Whether a change that was not in force works now and is in force; absent if there was none.
    change_in_force: Option<bool>,
    connection: ConnectionView,
}

impl VerifiedView {
    /// Shows a connection that was verified, and its state at `now`, in milliseconds since 1970.
    pub fn of(verified: &Verified, status: &Status, now: i64) -> Self {
        Self {
            tenant_id: verified.row.tenant.to_string(),
            saved: verified.is_saved,
            verification: verified.finding.clone(),
            unfilled_fields: verified.unfilled.clone(),
            change_in_force: verified.change.as_ref().map(|change| matches!(change, ChangeEnd::InForce)),
            connection: ConnectionView::of(&verified.row, status, now),
        }
    }
}
