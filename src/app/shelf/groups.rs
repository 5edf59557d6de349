//! Groups what is on the shelf by its cause: everything that is fixed by one action of a person.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::commands::{ShelfCommand, commands_of_group};
use crate::batch::cause::{CauseId, field, shape};
use crate::batch::{Reason, TenantId};
pub use crate::store::shelf::CauseNote;
use crate::store::shelf::{CauseFilter, CauseSample, CauseShare, ShelfState, Shelved};
use crate::store::{Store, StoreError};

/// Which entries are grouped; a part left empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// Those of a tenant.
    pub tenant: Option<TenantId>,
    /// Those there for a reason.
    pub reason: Option<Reason>,
    /// Those in a state.
    pub state: Option<ShelfState>,
}

/// Everything on the shelf that has one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The cause.
    pub cause: CauseId,
    /// Why the entries are on the shelf; `None` for a reason that this version does not know.
    pub reason: Option<Reason>,
    /// What their details have in common.
    pub shape: String,
    /// The field that Testmo or the check of the message names.
    pub field: Option<String>,
    /// How many entries are retried automatically.
    pub parked: u64,
    /// How many wait for a person.
    pub dead: u64,
    /// How many cases the entries have, as far as they are counted.
    pub cases: u64,
    /// How many entries an earlier version shelved whose cases a worker has not counted yet.
    pub uncounted: u64,
    /// How many entries each tenant has, most first; entries whose tenant is not known stand under `None`.
    pub tenants: Vec<(Option<TenantId>, u64)>,
    /// When the first of them arrived, in milliseconds on the store's clock.
    pub first_at: i64,
    /// When the last of them was shelved, likewise.
    pub last_at: i64,
    /// What a person has noted about the group.
    pub note: Option<CauseNote>,
    /// The commands that help with all of its entries, the most useful first.
    pub commands: Vec<ShelfCommand>,
}

impl Group {
    /// Returns how many entries there are.
    pub fn entries(&self) -> u64 {
        self.parked + self.dead
    }

    /// Puts together what is known of a cause; `None` if nothing of it is left on the shelf.
    fn of(sample: &CauseSample, shares: &[CauseShare], note: Option<CauseNote>, filter: &GroupFilter) -> Option<Self> {
        let of_state = |state| shares.iter().filter(|share| share.state == state).map(|share| share.count).sum::<u64>();
        let mut tenants: BTreeMap<Option<TenantId>, u64> = BTreeMap::new();
        for share in shares {
            *tenants.entry(share.tenant.clone()).or_default() += share.count;
        }
        let mut tenants: Vec<_> = tenants.into_iter().collect();
        tenants.sort_by_key(|(_, count)| Reverse(*count));
        let (parked, dead) = (of_state(ShelfState::Parked), of_state(ShelfState::Dead));
        let shape = shape(sample.detail.as_deref().unwrap_or_default());
        let only = match &tenants[..] {
            [(Some(tenant), _)] => Some(tenant),
            _ => None,
        };
        // The newest entry of the cause may be another tenant's.
        let one = filter.tenant.is_none().then_some(sample.id);
        let commands = sample.reason.map(|reason| commands_of_group(reason, sample.cause, (one, only), dead > 0));
        Some(Self {
            cause: shares.first()?.cause,
            reason: sample.reason,
            field: field(&shape).map(str::to_owned),
            shape,
            parked,
            dead,
            cases: shares.iter().map(|share| share.cases).sum(),
            uncounted: shares.iter().map(|share| share.uncounted).sum(),
            tenants,
            first_at: shares.iter().map(|share| share.first_at).min()?,
            last_at: shares.iter().map(|share| share.last_at).max()?,
            note,
            commands: commands.unwrap_or_default(),
        })
    }
}

/// Returns the groups of what is on the shelf, those that wait for a person first, and of these the largest.
///
/// # Errors
/// When the store does not answer.
pub async fn groups(store: &Store, filter: &GroupFilter) -> Result<Vec<Group>, StoreError> {
    groups_of(store, filter, cause_shares(store, filter).await?).await
}

/// Counts what is on the shelf, by cause, state and tenant.
pub(in crate::app) async fn cause_shares(store: &Store, filter: &GroupFilter) -> Result<Vec<CauseShare>, StoreError> {
    store.cause_shares(&CauseFilter { tenant: filter.tenant.clone(), state: filter.state }).await
}

/// Puts the groups together from what is counted.
pub(in crate::app) async fn groups_of(
    store: &Store,
    filter: &GroupFilter,
    counted: Vec<CauseShare>,
) -> Result<Vec<Group>, StoreError> {
    let mut shares: BTreeMap<CauseId, Vec<CauseShare>> = BTreeMap::new();
    for share in counted {
        shares.entry(share.cause).or_default().push(share);
    }
    let causes: Vec<CauseId> = shares.keys().copied().collect();
    let mut notes = notes(store, &causes).await?;
    let mut groups = Vec::new();
    // The last entry of a cause may have left the shelf meanwhile: it has no sample then.
    for sample in store.cause_samples(&causes).await? {
        if filter.reason.is_none() || filter.reason == sample.reason {
            let shares = shares.get(&sample.cause).map_or(&[][..], Vec::as_slice);
            groups.extend(Group::of(&sample, shares, notes.remove(&sample.cause), filter));
        }
    }
    groups.sort_by_key(|group| (Reverse(group.dead), Reverse(group.parked), group.cause));
    Ok(groups)
}

/// Returns the group that an entry belongs to.
pub fn group_of(entry: &Shelved) -> CauseId {
    CauseId::of(entry.content.reason.code(), entry.content.detail.as_deref())
}

/// Reads the note on the group of each entry, in the order of the entries.
///
/// # Errors
/// When the store does not answer.
pub async fn notes_of(store: &Store, entries: &[Shelved]) -> Result<Vec<Option<CauseNote>>, StoreError> {
    let causes: Vec<CauseId> = entries.iter().map(group_of).collect();
    let distinct: Vec<CauseId> = causes.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let notes = notes(store, &distinct).await?;
    Ok(causes.iter().map(|cause| notes.get(cause).cloned()).collect())
}

/// Reads the notes on some causes.
async fn notes(store: &Store, causes: &[CauseId]) -> Result<BTreeMap<CauseId, CauseNote>, StoreError> {
    let notes = store.cause_notes(causes).await?;
    Ok(notes.into_iter().map(|note| (note.cause, note)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::shelf::ShelfId;

    fn sample(cause: CauseId) -> CauseSample {
        CauseSample {
            cause,
            id: ShelfId(1),
            reason: Some(Reason::CaseRefused),
            detail: Some("tags.3: is too long".into()),
        }
    }

    #[test]
    fn a_group_has_the_totals_of_its_tenants_and_states() {
        let cause = CauseId::of("case_refused", Some("tags.3: is too long"));
        let share = |state, tenant: &str, count, at| CauseShare {
            cause,
            state,
            tenant: tenant.parse().ok(),
            count,
            cases: count * 5,
            uncounted: u64::from(count == 4),
            first_at: at,
            last_at: at + 5,
        };
        let shares = [
            share(ShelfState::Dead, "acme", 2, 10),
            share(ShelfState::Dead, "birch", 30, 20),
            share(ShelfState::Parked, "acme", 4, 5),
        ];
        let group = Group::of(&sample(cause), &shares, None, &GroupFilter::default()).unwrap();
        assert_eq!((group.dead, group.parked, group.entries()), (32, 4, 36));
        assert_eq!((group.cases, group.uncounted), (180, 1));
        assert_eq!((group.first_at, group.last_at), (5, 25));
        assert_eq!((group.shape.as_str(), group.field.as_deref()), ("tags.#: is too long", Some("tags.#")));
        let tenants: Vec<u64> = group.tenants.iter().map(|(_, count)| *count).collect();
        assert_eq!(tenants, [30, 6]);
        assert_eq!(Group::of(&sample(cause), &[], None, &GroupFilter::default()), None);
    }
}
