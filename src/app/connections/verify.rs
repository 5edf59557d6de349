//! Verifies connections that are stored, and decides what follows for their batches.

use super::super::actor::{ActionError, Actor, Role, require};
use super::super::context::AppContext;
use super::entries;
use crate::batch::verdict::reason::Class;
use crate::batch::verdict::reverify_after;
use crate::batch::{Reason, TenantId};
use crate::store::connections::{ConnectionRow, Verification};
use crate::store::{ConnectionStore, StoreError};
use crate::tenants::{Candidate, Examined};
use crate::testmo::Client;

/// The result of verifying a connection.
#[derive(Debug)]
pub struct Verified {
    /// What is stored for the tenant now.
    pub row: ConnectionRow,
    /// Whether the connection works.
    pub finding: Verification,
    /// Labels of required fields that its mapping does not fill.
    pub unfilled: Vec<String>,
    /// Whether the result is stored; it is not where the connection was changed in between.
    pub is_saved: bool,
    /// What became of a change that was not in force, if there was one.
    pub change: Option<ChangeEnd>,
}

/// What became of a change that was not in force because it did not work.
#[derive(Debug)]
pub enum ChangeEnd {
    /// It works now and is in force; it is the connection that was verified.
    InForce,
    /// It still does not work.
    NotInForce(Verification),
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

/// Verifies a tenant's connection, and a change of it that is not in force; `None` if it is gone. A change that works now is
/// put in force.
///
/// # Errors
/// When the person may not, or the store does not answer.
pub async fn verify(
    context: &AppContext,
    actor: &Actor,
    client: &Client,
    tenant: &TenantId,
) -> Result<Option<Verified>, ActionError> {
    require(actor, Role::Operator)?;
    let AppContext { store, tenants, .. } = context;
    let Some(row) = store.connection(tenant).await? else { return Ok(None) };
    let Some(next) = tenants.examine_successor(client, &row, None).await? else {
        return Ok(Some(in_force(context, actor, client, row, None).await?));
    };
    let before = row.successor.as_ref().map(|before| &before.finding);
    let entry = entries::verify(actor, tenant, ("change", before), &next.finding);
    let is_saved = tenants.note_successor(&row, &next, &[entry]).await?.is_done();
    let works = matches!(next.finding, Verification::Works { .. });
    let row = store.connection(tenant).await?.unwrap_or(row);
    if works || !is_saved {
        let Examined { finding, unfilled, .. } = next;
        let change = Some(ChangeEnd::InForce).filter(|_| is_saved);
        return Ok(Some(Verified { row, finding, unfilled, is_saved, change }));
    }
    Ok(Some(in_force(context, actor, client, row, Some(ChangeEnd::NotInForce(next.finding))).await?))
}

/// Verifies the connection in force.
async fn in_force(
    context: &AppContext,
    actor: &Actor,
    client: &Client,
    row: ConnectionRow,
    change: Option<ChangeEnd>,
) -> Result<Verified, StoreError> {
    let AppContext { store, tenants, .. } = context;
    tenants.learn_key_of(&row).await?;
    let examined = match tenants.access(&row) {
        Ok(access) => {
            let (target, mapping) = ((row.project, row.folder), &row.mapping);
            let in_force = row.verified_at.is_some();
            tenants.examine(client, Candidate { access: &access, target, mapping, in_force, paused_with: None }).await?
        }
        Err((reason, detail)) => Examined::failed(reason, detail),
    };
    let entry = entries::verify(actor, &row.tenant, ("connection", row.finding.as_ref()), &examined.finding);
    let is_saved = tenants.note(&row, &examined, &[entry]).await?.is_done();
    let Examined { finding, unfilled, .. } = examined;
    let row = store.connection(&row.tenant).await?.unwrap_or(row);
    Ok(Verified { row, finding, unfilled, is_saved, change })
}

/// Decides what a finding about a stored connection means for its batches; nothing if the connection works.
pub fn consequence(row: &ConnectionRow, finding: &Verification) -> Option<Consequence> {
    let Verification::Fails { reason, .. } = finding else { return None };
    Some(match reverify_after(*reason, 0) {
        _ if row.is_verified() => Consequence::StillUsed,
        Some(_) => Consequence::RetriedAutomatically,
        None => Consequence::NeedsFix,
    })
}

/// Returns whether a finding is about the Testmo instance, which recovers, and not about the connection.
pub fn is_about_account(reason: Reason) -> bool {
    reason.class() == Class::Account
}
