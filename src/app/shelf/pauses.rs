//! Finds out which entries of the shelf wait because a person has paused their lane.

use std::collections::BTreeMap;

use crate::batch::TenantId;
use crate::store::accounts::LaneSelector;
use crate::store::shelf::{ShelfState, Shelved};
use crate::store::{AccountStore, Store, StoreError};

/// The tenants whose batches wait for a person, each with the lane that this person resumes.
#[derive(Clone, Debug, Default)]
pub struct Pauses(BTreeMap<TenantId, LaneSelector>);

impl Pauses {
    /// Reads the lanes that are paused, and the tenants of paused accounts.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let paused = store.lane_overrides().await?.into_iter().filter(|order| order.paused).map(|order| order.lane);
        let (mut tenants, mut accounts) = (BTreeMap::new(), Vec::new());
        for lane in paused {
            match &lane {
                LaneSelector::Tenant(tenant) => drop(tenants.insert(tenant.clone(), lane)),
                LaneSelector::Account(_) => accounts.push(lane),
            }
        }
        if !accounts.is_empty() {
            for row in store.connections().await? {
                let lane = accounts.iter().find(|lane| lane.name() == row.origin);
                if let Some(lane) = lane {
                    tenants.entry(row.tenant).or_insert_with(|| lane.clone());
                }
            }
        }
        Ok(Self(tenants))
    }

    /// Returns the lane that an entry waits for; a tenant's own pause comes before the one of its account.
    pub fn of(&self, entry: &Shelved) -> Option<&LaneSelector> {
        self.0.get(entry.tenant()?).filter(|_| entry.state == ShelfState::Parked)
    }
}

impl FromIterator<(TenantId, LaneSelector)> for Pauses {
    fn from_iter<T: IntoIterator<Item = (TenantId, LaneSelector)>>(paused: T) -> Self {
        Self(paused.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::fixture;
    use super::*;
    use crate::store::accounts::LaneOverride;

    #[tokio::test]
    async fn an_entry_waits_for_the_pause_of_its_tenant_and_otherwise_of_its_account() {
        let (store, _dir) = fixture::with_acme().await;
        let mut entry = fixture::own();
        entry.state = ShelfState::Parked;
        let account = LaneSelector::Account("https://acme.testmo.net".into());
        let tenant = LaneSelector::Tenant(fixture::acme());
        let waits_for = async || Pauses::read(&store).await.unwrap().of(&entry).cloned();
        assert_eq!(waits_for().await, None);
        for lane in [account, tenant] {
            store.set_lane_override(&LaneOverride { lane: lane.clone(), paused: true, most: None }).await.unwrap();
            assert_eq!(waits_for().await, Some(lane));
        }
        let dead = Shelved { state: ShelfState::Dead, ..entry.clone() };
        assert_eq!(Pauses::read(&store).await.unwrap().of(&dead), None, "it waits for a decision");
    }
}
