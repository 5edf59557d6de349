//! Groups what is on the shelf by its cause: everything that is fixed by one action of a person.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::batch::cause::{CauseId, shape};
use crate::batch::{Reason, TenantId};
use crate::store::shelf::{CauseSample, CauseShare, ShelfState};
use crate::store::{Store, StoreError};

/// At most so many causes are read.
const MOST_GROUPS: u32 = 1_000;

/// Of a cause at most so many entries are counted: the newest.
const COUNTED: u32 = 100_001;

/// Everything on the shelf that has one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The cause.
    pub cause: CauseId,
    /// Why the entries are on the shelf; `None` for a reason that this version does not know.
    pub reason: Option<Reason>,
    /// What their details have in common.
    pub shape: String,
    /// How many entries are retried automatically.
    pub parked: u64,
    /// How many wait for a person.
    pub dead: u64,
    /// How many entries each tenant has, most first; entries whose tenant is not known stand under `None`.
    pub tenants: Vec<(Option<TenantId>, u64)>,
    /// When the first of them arrived, in milliseconds on the store's clock.
    pub first_at: i64,
    /// When the last of them was shelved, likewise.
    pub last_at: i64,
    /// Whether all entries are counted; otherwise there are older ones.
    pub is_all: bool,
}

impl Group {
    /// Returns how many entries are counted.
    pub fn entries(&self) -> u64 {
        self.parked + self.dead
    }

    /// Puts together what is known of a cause; `None` if nothing of it is left on the shelf.
    fn of(sample: &CauseSample, shares: &[CauseShare]) -> Option<Self> {
        let of_state = |state| shares.iter().filter(|share| share.state == state).map(|share| share.count).sum::<u64>();
        let mut tenants: BTreeMap<Option<TenantId>, u64> = BTreeMap::new();
        for share in shares {
            *tenants.entry(share.tenant.clone()).or_default() += share.count;
        }
        let mut tenants: Vec<_> = tenants.into_iter().collect();
        tenants.sort_by_key(|(_, count)| Reverse(*count));
        let (parked, dead) = (of_state(ShelfState::Parked), of_state(ShelfState::Dead));
        Some(Self {
            cause: shares.first()?.cause,
            reason: sample.reason,
            shape: shape(sample.detail.as_deref().unwrap_or_default()),
            parked,
            dead,
            tenants,
            first_at: shares.iter().map(|share| share.first_at).min()?,
            last_at: shares.iter().map(|share| share.last_at).max()?,
            is_all: parked + dead < COUNTED.into(),
        })
    }
}

/// Returns the groups of what is on the shelf, those that wait for a person first, and of these the largest.
///
/// # Errors
/// When the store does not answer.
pub async fn groups(store: &Store) -> Result<Vec<Group>, StoreError> {
    let mut groups = Vec::new();
    for cause in store.shelf_causes(MOST_GROUPS).await? {
        let shares = store.cause_shares(cause, COUNTED).await?;
        // The last entry may have left the shelf meanwhile.
        let Some(sample) = store.cause_sample(cause).await? else { continue };
        groups.extend(Group::of(&sample, &shares));
    }
    groups.sort_by_key(|group| (Reverse(group.dead), Reverse(group.parked), group.cause));
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::shelf::ShelfId;

    #[test]
    fn a_group_has_the_totals_of_its_tenants_and_states() {
        let cause = CauseId::of("case_refused", Some("tags.3: is too long"));
        let share = |state, tenant: &str, count, at| CauseShare {
            cause,
            state,
            tenant: tenant.parse().ok(),
            count,
            first_at: at,
            last_at: at + 5,
        };
        let sample = CauseSample {
            id: ShelfId(1),
            reason: Some(Reason::CaseRefused),
            detail: Some("tags.3: is too long".into()),
        };
        let shares = [
            share(ShelfState::Dead, "acme", 2, 10),
            share(ShelfState::Dead, "birch", 30, 20),
            share(ShelfState::Parked, "acme", 4, 5),
        ];
        let group = Group::of(&sample, &shares).unwrap();
        assert_eq!((group.dead, group.parked, group.entries(), group.is_all), (32, 4, 36, true));
        assert_eq!((group.first_at, group.last_at), (5, 25));
        assert_eq!(group.shape, "tags.#: is too long");
        let tenants: Vec<u64> = group.tenants.iter().map(|(_, count)| *count).collect();
        assert_eq!(tenants, [30, 6]);
        assert_eq!(Group::of(&sample, &[]), None);
    }
}
