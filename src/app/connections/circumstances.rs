//! Reads what is known around a connection: pauses, the state of its account, and what waits for it.

use std::collections::HashMap;

use super::status::{Circumstances, Status};
use crate::batch::TenantId;
use crate::store::accounts::{LaneOverride, LaneSelector};
use crate::store::connections::ConnectionRow;
use crate::store::shelf::Waiting;
use crate::store::{AccountStore, Store, StoreError, StoreHealth};

/// Decides the state of a connection as it is now.
///
/// # Errors
/// When the store does not answer.
pub async fn status(store: &Store, row: &ConnectionRow) -> Result<Status, StoreError> {
    Ok(statuses(store, std::slice::from_ref(row)).await?.remove(0))
}

/// Decides the states of connections as they are now, in their order.
///
/// # Errors
/// When the store does not answer.
pub async fn statuses(store: &Store, rows: &[ConnectionRow]) -> Result<Vec<Status>, StoreError> {
    let tenants: Vec<&TenantId> = rows.iter().map(|row| &row.tenant).collect();
    statuses_with(store, rows, &store.waiting_of_each(&tenants).await?).await
}

/// Decides the states of connections, in their order, where what waits for their tenants is known.
pub(in crate::app) async fn statuses_with(
    store: &Store,
    rows: &[ConnectionRow],
    waiting: &HashMap<TenantId, Waiting>,
) -> Result<Vec<Status>, StoreError> {
    let orders = store.lane_overrides().await?;
    let throttles = store.throttles(rows.iter().map(|row| row.origin.as_str()).collect()).await?;
    // Only what is retried automatically can be held.
    let waits = |row: &&ConnectionRow| waiting.get(&row.tenant).is_some_and(|waiting| waiting.batches > 0);
    let tenants: Vec<&TenantId> = rows.iter().filter(waits).map(|row| &row.tenant).collect();
    let mut held = store.held_of_each(&tenants).await?;
    let mut statuses = Vec::with_capacity(rows.len());
    for row in rows {
        let waiting = waiting.get(&row.tenant).copied().unwrap_or_default();
        let held = held.remove(&row.tenant).unwrap_or_default();
        let throttle = throttles.get(&row.origin).cloned().unwrap_or_default();
        let around = Circumstances { paused: pause_of(row, &orders), throttle, waiting, held };
        statuses.push(Status::of(row, &around, store.now()));
    }
    Ok(statuses)
}

fn pause_of(row: &ConnectionRow, orders: &[LaneOverride]) -> Option<LaneSelector> {
    let stops = |lane: &LaneSelector| match lane {
        LaneSelector::Tenant(tenant) => *tenant == row.tenant,
        LaneSelector::Account(account) => *account == row.origin,
    };
    orders.iter().find(|order| order.paused && stops(&order.lane)).map(|order| order.lane.clone())
}

/// Counts what waits on the shelf for a tenant, and says since when.
///
/// # Errors
/// When the store does not answer.
pub async fn waiting(store: &Store, tenant: &TenantId) -> Result<Waiting, StoreError> {
    store.waiting_of(tenant).await
}
