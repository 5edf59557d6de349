//! Finds what needs attention: causes on the shelf, connections that are not green, and pauses.

mod party;

use std::cmp::Reverse;
use std::collections::HashMap;

pub use self::party::Party;
use super::connections::{Status, StatusLight, statuses_with};
use super::shelf::{Group, GroupFilter, ShelfCommand, ShelfState, cause_shares, groups_of};
use crate::batch::TenantId;
use crate::batch::verdict::reason::Class;
use crate::store::accounts::LaneSelector;
use crate::store::connections::ConnectionRow;
pub use crate::store::ledger::DeliveredSince;
use crate::store::shelf::{CauseShare, Waiting};
use crate::store::{AccountStore, ConnectionStore, Store, StoreError, StoreHealth};

/// How many connections are read at once.
const AT_ONCE: u32 = 200;
/// For how long back delivered batches are counted, in milliseconds.
const LATELY: i64 = 3_600_000;
/// How many delivered batches are counted at most.
const COUNTED: u32 = 10_000;

/// What needs attention.
#[derive(Clone, Debug)]
pub struct Attention {
    /// Causes with batches that go on only after somebody has acted, those with most batches first.
    pub causes: Vec<Cause>,
    /// Connections whose light is not green, red ones first.
    pub connections: Vec<(ConnectionRow, Status)>,
    /// Lanes that a person has paused.
    pub paused: Vec<LaneSelector>,
    /// How many batches were delivered lately.
    pub delivered: DeliveredSince,
    /// Since when these are counted, in milliseconds on the store's clock.
    pub delivered_since: i64,
}

/// A cause on which somebody has to act.
#[derive(Clone, Debug)]
pub struct Cause {
    /// The batches on the shelf that have this cause.
    pub group: Group,
    /// Who has to act.
    pub who_acts: Party,
}

impl Cause {
    /// Returns the cause of a group, if its batches go on only after somebody has acted.
    fn of(group: Group) -> Option<Self> {
        let awaits_connection = group.reason.is_some_and(|reason| reason.class() == Class::Connection);
        let needs_somebody = group.dead > 0 || awaits_connection;
        let who_acts = Party::of(group.reason);
        needs_somebody.then_some(Self { group, who_acts })
    }

    /// Says what is wrong.
    pub fn sentence(&self) -> &'static str {
        self.group
            .reason
            .map_or("The batches are on the shelf for a reason that this version does not know.", |reason| {
                reason.cause()
            })
    }

    /// Returns the command that comes next.
    pub fn next(&self) -> Option<&ShelfCommand> {
        self.group.commands.first()
    }
}

impl Attention {
    /// Returns whether nobody has to act.
    pub fn is_empty(&self) -> bool {
        self.causes.is_empty() && self.connections.is_empty() && self.paused.is_empty()
    }
}

/// Finds what needs attention, of one tenant or of all. The shelf and the connections are read in steps, and delivered batches
/// are counted up to a bound.
///
/// # Errors
/// When the store does not answer.
pub async fn attention(store: &Store, tenant: Option<&TenantId>) -> Result<Attention, StoreError> {
    let filter = GroupFilter { tenant: tenant.cloned(), ..GroupFilter::default() };
    let shares = cause_shares(store, &filter).await?;
    let waiting = waiting(&shares);
    let mut causes: Vec<Cause> = groups_of(store, &filter, shares).await?.into_iter().filter_map(Cause::of).collect();
    causes.sort_by_key(|cause| (Reverse(cause.group.entries()), cause.group.cause));
    let delivered_since = store.now().saturating_sub(LATELY);
    Ok(Attention {
        causes,
        connections: not_green(store, tenant, &waiting).await?,
        paused: paused(store, tenant).await?,
        delivered: store.delivered_since(delivered_since, tenant, COUNTED).await?,
        delivered_since,
    })
}

/// Returns what of the shelf is retried automatically, by tenant.
fn waiting(shares: &[CauseShare]) -> HashMap<TenantId, Waiting> {
    let mut waiting: HashMap<TenantId, Waiting> = HashMap::new();
    for share in shares.iter().filter(|share| share.state == ShelfState::Parked) {
        let Some(tenant) = &share.tenant else { continue };
        let of_tenant = waiting.entry(tenant.clone()).or_default();
        of_tenant.batches += usize::try_from(share.count).unwrap_or(usize::MAX);
        of_tenant.since = Some(of_tenant.since.map_or(share.first_at, |since| since.min(share.first_at)));
    }
    waiting
}

/// Reads the connections whose light is not green.
async fn not_green(
    store: &Store,
    tenant: Option<&TenantId>,
    waiting: &HashMap<TenantId, Waiting>,
) -> Result<Vec<(ConnectionRow, Status)>, StoreError> {
    let mut found = Vec::new();
    let mut after = Some(String::new());
    while let Some(name) = after {
        let (rows, next) = match tenant {
            Some(tenant) => (store.connection(tenant).await?.into_iter().collect(), None),
            None => store.connections_page(&name, AT_ONCE).await?,
        };
        let statuses = statuses_with(store, &rows, waiting).await?;
        found.extend(rows.into_iter().zip(statuses).filter(|(_, status)| status.light != StatusLight::Green));
        after = next;
    }
    // Stable, so that those of a light keep the order of their names.
    found.sort_by_key(|(_, status)| Reverse(status.light));
    Ok(found)
}

/// Reads which lanes a person has paused; of a tenant its own one.
async fn paused(store: &Store, tenant: Option<&TenantId>) -> Result<Vec<LaneSelector>, StoreError> {
    let is_meant = |lane: &LaneSelector| match (tenant, lane) {
        (None, _) => true,
        (Some(tenant), LaneSelector::Tenant(of)) => of == tenant,
        (Some(_), LaneSelector::Account(_)) => false,
    };
    let overrides = store.lane_overrides().await?.into_iter();
    Ok(overrides.filter(|order| order.paused).map(|order| order.lane).filter(is_meant).collect())
}

#[cfg(test)]
mod tests;
