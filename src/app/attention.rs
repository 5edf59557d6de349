//! Finds what a person has to act on: causes on the shelf, connections, and pauses.

use super::connections::{Circumstances, Status, StatusLight};
use super::shelf::{Group, GroupFilter, groups};
use crate::batch::TenantId;
use crate::store::accounts::LaneSelector;
use crate::store::connections::ConnectionRow;
use crate::store::{AccountStore, ConnectionStore, Store, StoreError, StoreHealth};

/// How many connections are read at once.
const AT_ONCE: u32 = 200;

/// What a person has to act on.
#[derive(Clone, Debug, Default)]
pub struct Attention {
    /// Causes with batches that wait for a person.
    pub groups: Vec<Group>,
    /// Connections whose light is not green, whatever waits for them.
    pub connections: Vec<(ConnectionRow, Status)>,
    /// Lanes that a person has paused.
    pub paused: Vec<LaneSelector>,
}

/// Finds what a person has to act on, of one tenant or of all.
///
/// # Errors
/// When the store does not answer.
pub async fn attention(store: &Store, tenant: Option<&TenantId>) -> Result<Attention, StoreError> {
    let groups = groups(store, &GroupFilter { tenant: tenant.cloned(), ..GroupFilter::default() })
        .await?
        .into_iter()
        .filter(|group| group.dead > 0)
        .collect();
    let overrides = store.lane_overrides().await?;
    let is_own = |lane: &LaneSelector| match (tenant, lane) {
        (None, _) => true,
        (Some(tenant), LaneSelector::Tenant(of)) => of == tenant,
        (Some(_), LaneSelector::Account(_)) => false,
    };
    let paused = overrides.into_iter().filter(|order| order.paused).map(|order| order.lane).filter(is_own).collect();
    let mut connections = Vec::new();
    match tenant {
        Some(tenant) => connections.extend(store.connection(tenant).await?.map(|row| judged(row, store.now()))),
        None => {
            let mut after = Some(String::new());
            while let Some(name) = after {
                let (page, next) = store.connections_page(&name, AT_ONCE).await?;
                connections.extend(page.into_iter().map(|row| judged(row, store.now())));
                after = next;
            }
        }
    }
    connections.retain(|(_, status)| status.light != StatusLight::Green);
    Ok(Attention { groups, connections, paused })
}

fn judged(row: ConnectionRow, now: i64) -> (ConnectionRow, Status) {
    let status = Status::of(&row, &Circumstances::default(), now);
    (row, status)
}
