//! Verifies connections that are stored, and decides what follows for their batches.

use super::super::context::AppContext;
use super::lookup::{ConnectionError, connection};
use crate::batch::verdict::reason::Class;
use crate::batch::verdict::reverify_after;
use crate::batch::{Reason, TenantId};
use crate::store::connections::Verification;
use crate::store::{ConnectionStore, Store, StoreError};
use crate::tenants::{Candidate, Examined};
use crate::testmo::Client;

/// The result of verifying a connection.
#[derive(Debug)]
pub struct Verified {
    /// Whose connection it is.
    pub tenant: TenantId,
    /// Whether it works.
    pub finding: Verification,
    /// Labels of required fields that its mapping does not fill.
    pub unfilled: Vec<String>,
    /// Whether the result is stored; it is not where the connection was changed in between.
    pub is_saved: bool,
}

/// What a connection that does not work means for its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The connection worked before, so batches are still sent.
    StillUsed,
    /// Batches wait, and a running worker verifies it again automatically.
    RetriedAutomatically,
    /// Batches wait until a person has fixed it.
    NeedsFix,
}

/// Verifies a tenant's connection; `None` if it is gone.
///
/// # Errors
/// When the store does not answer.
pub async fn verify(context: &AppContext, client: &Client, tenant: &TenantId) -> Result<Option<Verified>, StoreError> {
    let AppContext { store, tenants, .. } = context;
    let Some(row) = store.connection(tenant).await? else { return Ok(None) };
    let examined = match tenants.access(&row) {
        Ok(access) => {
            let (target, mapping) = ((row.project, row.folder), &row.mapping);
            tenants.examine(client, Candidate { access: &access, target, mapping, paused_with: None }).await?
        }
        Err((reason, detail)) => Examined::failed(reason, detail),
    };
    let is_saved = tenants.note(&row, &examined).await?.is_done();
    let Examined { finding, unfilled, .. } = examined;
    Ok(Some(Verified { tenant: row.tenant, finding, unfilled, is_saved }))
}

/// Decides what a finding means for a tenant's batches; nothing if the connection works.
///
/// # Errors
/// When the connection is gone, or the store does not answer.
pub async fn consequence(
    store: &Store,
    tenant: &TenantId,
    finding: &Verification,
) -> Result<Option<Consequence>, ConnectionError> {
    let row = connection(store, tenant).await?;
    let Verification::Fails { reason, .. } = finding else { return Ok(None) };
    Ok(Some(match reverify_after(*reason, 0) {
        _ if row.is_verified() => Consequence::StillUsed,
        Some(_) => Consequence::RetriedAutomatically,
        None => Consequence::NeedsFix,
    }))
}

/// Returns whether a finding is about the Testmo instance, which recovers, and not about the connection.
pub fn is_about_account(reason: Reason) -> bool {
    reason.class() == Class::Account
}
