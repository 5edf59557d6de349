//! Verifies failed connections again when they are due, so that a fix made inside Testmo is noticed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::every::Every;
use super::side_by_side::{Items, work_on_due};
use crate::batch::Reason;
use crate::guard::{Task, may_panic};
use crate::store::StoreError;
use crate::store::connections::{ConnectionRow, Verification};
use crate::tenants::{Candidate, Examined};
use crate::worker::context::WorkerContext;
use crate::worker::store_retry::patiently;

/// How long a connection belongs to the worker that verifies it.
const LEASE: Duration = Duration::from_secs(300);
/// The longest that a verification may take.
const LONGEST: Duration = Duration::from_secs(270);

/// Verifies failed connections, each when it is due, until `stop`.
pub(in crate::worker) async fn reverify(context: Arc<WorkerContext>, stop: CancellationToken) {
    let every = Every::new(context.config.shelf.poll_interval, stop);
    let items = Items { task: Task::Recheck, limit: LONGEST };
    let take = |most| context.store.take_reverifications(LEASE, most);
    let name = |row: &ConnectionRow| format!("connection of {}", row.tenant);
    work_on_due(&context, items, every, take, name, |row| verify(&context, row)).await;
}

async fn verify(context: &WorkerContext, row: ConnectionRow) -> Result<(), StoreError> {
    may_panic("recheck", &row.tenant);
    let Some(row) = verify_successor(context, row).await? else { return Ok(()) };
    let tenants = &context.tenants;
    tenants.learn_key_of(&row).await?;
    let examined = match tenants.access(&row) {
        Ok(access) => {
            let (target, paused_with) = ((row.project, row.folder), Some(&row.tenant));
            let (mapping, in_force) = (&row.mapping, row.verified_at.is_some());
            let candidate = Candidate { access: &access, target, mapping, in_force, paused_with };
            tenants.examine(&context.client, candidate).await?
        }
        Err((reason, detail)) => Examined::failed(reason, detail),
    };
    if matches!(examined.finding, Verification::Fails { reason: Reason::Paused, .. }) {
        // That says nothing about the connection, which is due again when the lease is over.
        return Ok(());
    }
    // Trying the whole verification again would send requests for what is known already.
    if !patiently(|| tenants.note(&row, &examined, &[])).await?.is_done() {
        // If the new connection does not work either, it is due again.
        tracing::info!(tenant = %row.tenant, "the tenant's connection was changed while it was verified");
        return Ok(());
    }
    match &examined.finding {
        Verification::Works { .. } => tracing::info!(tenant = %row.tenant, "the tenant's connection works again"),
        Verification::Fails { reason, .. } => {
            tracing::info!(tenant = %row.tenant, %reason, "the tenant's connection still fails")
        }
    }
    Ok(())
}

/// Verifies what is to succeed a connection, if that is due, and puts it in force if it works. Returns the connection if it
/// has to be verified itself.
async fn verify_successor(context: &WorkerContext, row: ConnectionRow) -> Result<Option<ConnectionRow>, StoreError> {
    if row.successor_due_at().is_none_or(|at| at > context.store.now()) {
        return Ok(Some(row));
    }
    let (tenants, tenant) = (&context.tenants, &row.tenant);
    let Some(examined) = tenants.examine_successor(&context.client, &row, Some(tenant)).await? else {
        return Ok(Some(row));
    };
    if matches!(examined.finding, Verification::Fails { reason: Reason::Paused, .. }) {
        return Ok(None);
    }
    let is_saved = patiently(|| tenants.note_successor(&row, &examined, &[])).await?.is_done();
    match &examined.finding {
        _ if !is_saved => tracing::info!(%tenant, "the tenant's connection was changed while it was verified"),
        Verification::Works { .. } => tracing::info!(%tenant, "the last change of the tenant's connection is in force"),
        Verification::Fails { reason, .. } => {
            tracing::info!(%tenant, %reason, "the last change of the tenant's connection still does not work");
        }
    }
    // Whatever was found, the next round has what is stored now. A connection in force that failed is due again then.
    Ok(None)
}
