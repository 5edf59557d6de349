//! Reads what is known around a connection: pauses, the state of its account, and what waits for it.

use std::collections::HashMap;

use super::status::{Circumstances, Status};
use crate::account::Throttle;
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
    let around = Circumstances {
        paused: pause_of(row, &store.lane_overrides().await?),
        throttle: throttle(store, &row.origin).await?,
        waiting: store.waiting_of(&row.tenant).await?,
        held: store.held_of(&row.tenant).await?,
    };
    Ok(Status::of(row, &around, store.now()))
}

/// Decides the states of connections as they are now, in their order.
///
/// # Errors
/// When the store does not answer.
pub async fn statuses(store: &Store, rows: &[ConnectionRow]) -> Result<Vec<Status>, StoreError> {
    let mut waiting = HashMap::new();
    for row in rows {
        waiting.insert(row.tenant.clone(), store.waiting_of(&row.tenant).await?);
    }
    statuses_with(store, rows, &waiting).await
}

/// Decides the states of connections, in their order, where what waits for their tenants is known.
pub(in crate::app) async fn statuses_with(
    store: &Store,
    rows: &[ConnectionRow],
    waiting: &HashMap<TenantId, Waiting>,
) -> Result<Vec<Status>, StoreError> {
    let orders = store.lane_overrides().await?;
    let mut throttles: HashMap<&str, Throttle> = HashMap::new();
    let mut statuses = Vec::new();
    for row in rows {
        if !throttles.contains_key(row.origin.as_str()) {
            throttles.insert(&row.origin, throttle(store, &row.origin).await?);
        }
        let waiting = waiting.get(&row.tenant).copied().unwrap_or_default();
        let around = Circumstances {
            paused: pause_of(row, &orders),
            throttle: throttles.get(row.origin.as_str()).cloned().unwrap_or_default(),
            waiting,
            // Only what is retried automatically can be held.
            held: if waiting.batches == 0 { Vec::new() } else { store.held_of(&row.tenant).await? },
        };
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

/// Returns what is known of an account; nothing if this version cannot read it, which the store reports itself.
async fn throttle(store: &Store, account: &str) -> Result<Throttle, StoreError> {
    match store.throttle(account).await {
        Err(StoreError::Unreadable(_)) => Ok(Throttle::default()),
        known => known,
    }
}

/// Counts what waits on the shelf for a tenant, and says since when.
///
/// # Errors
/// When the store does not answer.
pub async fn waiting(store: &Store, tenant: &TenantId) -> Result<Waiting, StoreError> {
    store.waiting_of(tenant).await
}
