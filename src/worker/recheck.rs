//! Does a failed connection work again? What people mend inside Testmo is noticed without their telling anybody.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use crate::guard::{Task, may_panic};
use crate::store::StoreError;
use crate::store::connections::{ConnectionRow, Verification};
use crate::tenants::Examined;

/// How long a connection belongs to the worker that looks at it.
const LEASE: Duration = Duration::from_secs(300);
/// The most connections looked at in one go.
const AT_ONCE: u32 = 20;

/// Looks at failed connections, each when it is due, until `stop`.
pub(super) async fn recheck(courier: Arc<Courier>, stop: CancellationToken) {
    let mut poll = tokio::time::interval(courier.config.shelf.poll_interval);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = poll.tick() => {}
        }
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            looked = courier.unit(Task::Recheck, &"what is due", look_at_due(&courier)) => looked,
        };
        if let Err(error) = looked {
            tracing::warn!(%error, "failed connections cannot be looked at");
        }
    }
}

async fn look_at_due(courier: &Courier) -> Result<(), StoreError> {
    for row in courier.store.take_reverifications(LEASE, AT_ONCE).await? {
        // Where one panics, it is its turn again when its lease is over.
        let what = format!("connection of {}", row.tenant);
        match courier.unit(Task::Recheck, &what, look_at(courier, row)).await {
            Ok(()) | Err(StoreError::Panicked(_) | StoreError::Unreadable(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn look_at(courier: &Courier, row: ConnectionRow) -> Result<(), StoreError> {
    may_panic("recheck", &row.tenant);
    let examined = match courier.tenants.access(&row) {
        Ok(access) => courier.tenants.examine(&courier.client, &access, row.project, row.folder, &row.mapping).await?,
        Err((reason, detail)) => Examined::failed(reason, detail),
    };
    if !courier.tenants.note(&row, &examined).await?.is_done() {
        // If that does not work either, it is due again.
        tracing::info!(tenant = %row.tenant, "the tenant's connection was changed while it was verified");
        return Ok(());
    }
    match &examined.finding {
        Verification::Works { .. } => tracing::info!(tenant = %row.tenant, "the tenant's connection works again"),
        Verification::Fails { reason, .. } => tracing::info!(tenant = %row.tenant, %reason, "it does not work yet"),
    }
    Ok(())
}
