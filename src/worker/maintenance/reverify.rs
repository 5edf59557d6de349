//! Verifies failed connections again when they are due, so that a fix made inside Testmo is noticed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::every::Every;
use crate::guard::{Task, may_panic};
use crate::store::StoreError;
use crate::store::connections::{ConnectionRow, Verification};
use crate::tenants::Examined;
use crate::worker::context::WorkerContext;
use crate::worker::unit::unit;

/// How long a connection belongs to the worker that verifies it.
const LEASE: Duration = Duration::from_secs(300);
/// The most connections that are verified in one go.
const AT_ONCE: u32 = 20;

/// Verifies failed connections, each when it is due, until `stop`.
pub(in crate::worker) async fn reverify(context: Arc<WorkerContext>, stop: CancellationToken) {
    let mut every = Every::new(context.config.shelf.poll_interval, stop);
    while every.is_due().await {
        let verifying = unit(&context, Task::Recheck, &"due connections", verify_due(&context));
        if let Some(Err(error)) = every.unless_stopped(verifying).await {
            tracing::warn!(%error, "failed connections cannot be re-verified");
        }
    }
}

async fn verify_due(context: &WorkerContext) -> Result<(), StoreError> {
    for row in context.store.take_reverifications(LEASE, AT_ONCE).await? {
        // If one panics, it is due again when its lease is over.
        let what = format!("connection of {}", row.tenant);
        match unit(context, Task::Recheck, &what, verify(context, row)).await {
            Ok(()) | Err(StoreError::Panicked(_) | StoreError::Unreadable(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn verify(context: &WorkerContext, row: ConnectionRow) -> Result<(), StoreError> {
    may_panic("recheck", &row.tenant);
    let tenants = &context.tenants;
    let examined = match tenants.access(&row) {
        Ok(access) => tenants.examine(&context.client, &access, row.project, row.folder, &row.mapping).await?,
        Err((reason, detail)) => Examined::failed(reason, detail),
    };
    if !tenants.note(&row, &examined).await?.is_done() {
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
