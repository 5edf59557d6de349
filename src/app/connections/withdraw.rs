//! Removes the connection of a tenant whose file is gone, and leaves the tenant's batches to wait.

use super::super::actor::Actor;
use super::entries;
use super::remove::HOLD;
use crate::batch::TenantId;
use crate::store::removal::RemovalOutcome;
use crate::store::unfinished::Unfinished;
use crate::store::{Store, StoreError};

/// Whether a connection was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withdrawn {
    /// It is gone.
    Done,
    /// Batches of the tenant are not finished. The tenant is paused, unless a request has an unknown outcome, which is found out
    /// over the connection.
    HasWork,
}

/// Removes a connection if no batch of its tenant is unfinished. What is on the shelf stays there.
pub(super) async fn withdraw(store: &Store, actor: &Actor, tenant: &TenantId) -> Result<Withdrawn, StoreError> {
    let Some(before) = store.begin_removal(tenant, HOLD).await? else { return Ok(Withdrawn::Done) };
    if before.unfinished.is_empty() {
        let entry = entries::remove(actor, &before.connection, 0).because(Some("its file is gone"));
        match store.withdraw_connection(tenant, &before.connection.version, &[entry]).await? {
            RemovalOutcome::Done => return Ok(Withdrawn::Done),
            RemovalOutcome::ChangedMeanwhile | RemovalOutcome::HasWork => {}
        }
    }
    if before.unfinished.iter().any(|(_, why)| *why == Unfinished::Unclear) {
        store.end_removal(tenant).await?;
    }
    Ok(Withdrawn::HasWork)
}
