//! Pauses, resumes and limits lanes for all workers.

use crate::batch::{NotAnId, TenantId};
use crate::config;
pub use crate::store::accounts::{LaneOverride, LaneSelector};
use crate::store::{AccountStore, ConnectionStore, Store, StoreError};
use crate::testmo::{AddressPolicy, AddressRefused};

/// What a person can order for a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneOrder {
    /// Send nothing.
    Pause,
    /// Send again.
    Resume,
    /// Send at most so many requests at once, by all workers together; no limit if there is no number.
    Limit(Option<u32>),
}

/// Why an order is not stored.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The address is not one of a Testmo instance.
    #[error(transparent)]
    Address(#[from] AddressRefused),
    /// The name is not one of a tenant.
    #[error(transparent)]
    NotATenant(#[from] NotAnId),
    /// No connection belongs to the lane.
    #[error("no connection is stored for {}", .0.name())]
    Unknown(LaneSelector),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads every override in force.
///
/// # Errors
/// When the store does not answer.
pub async fn overrides(store: &Store) -> Result<Vec<LaneOverride>, StoreError> {
    store.lane_overrides().await
}

/// Stores an order for the lane of a tenant or of a base URL, and returns what is in force then.
///
/// # Errors
/// When no connection belongs to the lane, or the store does not answer.
pub async fn order(
    store: &Store,
    testmo: &config::Testmo,
    lane: &str,
    order: LaneOrder,
) -> Result<LaneOverride, LaneError> {
    let lane = selector(lane, &AddressPolicy::new(testmo))?;
    let known = match &lane {
        LaneSelector::Tenant(tenant) => store.connection(tenant).await?.is_some(),
        LaneSelector::Account(account) => store.connections().await?.iter().any(|row| row.origin == *account),
    };
    if !known {
        return Err(LaneError::Unknown(lane));
    }
    let before = store.lane_overrides().await?.into_iter().find(|present| present.lane == lane);
    let before = before.unwrap_or(LaneOverride { lane, paused: false, most: None });
    let ordered = match order {
        LaneOrder::Pause => LaneOverride { paused: true, ..before },
        LaneOrder::Resume => LaneOverride { paused: false, ..before },
        LaneOrder::Limit(most) => LaneOverride { most, ..before },
    };
    store.set_lane_override(&ordered).await?;
    Ok(ordered)
}

/// Reads the name of a lane: a base URL is an account, anything else a tenant.
fn selector(text: &str, policy: &AddressPolicy) -> Result<LaneSelector, LaneError> {
    if text.contains("://") {
        return Ok(LaneSelector::Account(policy.check(text)?.as_str().to_owned()));
    }
    Ok(LaneSelector::Tenant(TenantId::new(text)?))
}
