//! Shows what waits over all workers, and decides what each group waits for.

use std::collections::BTreeMap;

use super::lanes::LaneSelector;
use crate::account::{Permission, Throttle};
use crate::batch::{Reason, TenantId};
use crate::store::accounts::LaneOverride;
pub use crate::store::waiting::{MOST_READ, OpenRequests, WaitingGroup};
use crate::store::{AccountStore, ConnectionStore, Store, StoreError, StoreHealth};

/// What waits, over all workers.
#[derive(Clone, Debug)]
pub struct Waits {
    /// What waits on the shelf.
    pub groups: Vec<Waiting>,
    /// Whether there are more groups.
    pub is_more: bool,
    /// Lanes that a person has paused, whether or not anything waits in them.
    pub paused: Vec<LaneSelector>,
    /// Create requests that are under way.
    pub requests: Vec<OpenRequests>,
    /// The time of reading, in milliseconds on the store's clock.
    pub now: i64,
}

/// Batches of a tenant that wait for the same reason, and what for.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The batches.
    pub group: WaitingGroup,
    /// The account of the tenant's connection, if there is one.
    pub account: Option<String>,
    /// What the first of them waits for.
    pub wait: Wait,
}

/// What batches wait for; times are in milliseconds on the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A person resumes this lane.
    Person(LaneSelector),
    /// A pause ends that Testmo asked for.
    RateLimit(i64),
    /// Testmo works again; it is tried then.
    Testmo(i64),
    /// The connection of the tenant is verified.
    Connection,
    /// A worker that has taken them; they are given to another one at the latest then.
    Worker(i64),
    /// A time.
    Time(i64),
    /// Room in a worker.
    Room,
}

/// Reads what waits, up to `most` groups; 0 means all.
///
/// # Errors
/// When the store does not answer.
pub async fn read(store: &Store, most: usize) -> Result<Waits, StoreError> {
    let (groups, is_more) = store.waiting(if most == 0 { usize::MAX } else { most }).await?;
    let (requests, overrides, now) = (store.requests_under_way().await?, store.lane_overrides().await?, store.now());
    let (mut accounts, mut throttles) = (BTreeMap::<TenantId, Option<String>>::new(), BTreeMap::new());
    let mut waiting = Vec::new();
    for group in groups {
        let account = match &group.tenant {
            Some(tenant) => match accounts.get(tenant) {
                Some(account) => account.clone(),
                None => {
                    let account = store.connection(tenant).await?.map(|row| row.origin);
                    accounts.insert(tenant.clone(), account.clone());
                    account
                }
            },
            None => None,
        };
        if let Some(account) = account.as_ref().filter(|account| !throttles.contains_key(*account)) {
            throttles.insert(account.clone(), throttle_of(store, account).await?);
        }
        let throttle = account.as_ref().and_then(|account| throttles.get(account)).cloned().unwrap_or_default();
        let wait = wait_of(&group, account.as_deref(), &throttle, &overrides, now);
        waiting.push(Waiting { group, account, wait });
    }
    let paused = overrides.into_iter().filter(|order| order.paused).map(|order| order.lane).collect();
    Ok(Waits { groups: waiting, is_more, paused, requests, now })
}

/// Reads what is known of an account; what this version cannot read holds up only the batches of that account.
async fn throttle_of(store: &Store, account: &str) -> Result<Throttle, StoreError> {
    match store.throttle(account).await {
        Err(StoreError::Unreadable(_)) => Ok(Throttle::default()),
        other => other,
    }
}

/// Decides what a group waits for: what a person has to change comes first, then what holds up its account.
fn wait_of(
    group: &WaitingGroup,
    account: Option<&str>,
    throttle: &Throttle,
    overrides: &[LaneOverride],
    now: i64,
) -> Wait {
    let is_own = |lane: &LaneSelector| match lane {
        LaneSelector::Tenant(tenant) => group.tenant.as_ref() == Some(tenant),
        LaneSelector::Account(of) => account == Some(of),
    };
    if let Some(paused) = overrides.iter().find(|order| order.paused && is_own(&order.lane)) {
        return Wait::Person(paused.lane.clone());
    }
    let Some(due_at) = group.due_at else { return Wait::Connection };
    if let Some(until) = group.lease_until.filter(|_| group.leased == group.count) {
        return Wait::Worker(until);
    }
    // What waits for a time for another reason than its account is not tried before.
    let closed = match throttle.permission(now, 1) {
        Permission::RateLimited { until } => Some((until, Wait::RateLimit(until))),
        Permission::Broken { until } => Some((until, Wait::Testmo(until.max(now)))),
        Permission::Granted { .. } => None,
    };
    match closed {
        Some((until, wait)) if due_at <= until || group.reason == Some(Reason::NoRoom) => wait,
        Some(_) | None if due_at > now => Wait::Time(due_at),
        Some((_, wait)) => wait,
        None => Wait::Room,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::account::Signal;

    const NOW: i64 = 1_000_000;
    const ACCOUNT: &str = "https://acme.testmo.net";

    fn group(reason: Reason, due_at: Option<i64>) -> WaitingGroup {
        let tenant = Some("acme".parse().unwrap());
        WaitingGroup { tenant, reason: Some(reason), count: 2, oldest: 1, due_at, leased: 0, lease_until: None }
    }

    #[test]
    fn what_waits_says_what_for_and_until_when() {
        let open = Throttle::default();
        let mut paused = Throttle::default();
        paused.observe(Signal::Throttled(Duration::from_secs(60)), NOW, 4);
        let mut failing = Throttle::default();
        for _ in 0..8 {
            failing.observe(Signal::Failed, NOW, 4);
        }
        let leased = |leased| WaitingGroup { leased, lease_until: Some(NOW + 9), ..group(Reason::NoRoom, Some(NOW)) };
        for (group, throttle, expected) in [
            (group(Reason::NoRoom, Some(NOW)), &open, Wait::Room),
            (group(Reason::ServerError, Some(NOW + 5)), &open, Wait::Time(NOW + 5)),
            (group(Reason::KeyRefused, None), &open, Wait::Connection),
            (group(Reason::KeyRefused, None), &paused, Wait::Connection),
            (group(Reason::Throttled, Some(NOW + 60_000)), &paused, Wait::RateLimit(NOW + 60_000)),
            (group(Reason::NoRoom, Some(NOW)), &paused, Wait::RateLimit(NOW + 60_000)),
            (group(Reason::FolderUnconfirmed, Some(NOW + 90_000)), &paused, Wait::Time(NOW + 90_000)),
            (group(Reason::ServerError, Some(NOW)), &failing, Wait::Testmo(NOW + 5_000)),
            (group(Reason::ServerError, Some(NOW + 60_000)), &failing, Wait::Time(NOW + 60_000)),
            (leased(2), &open, Wait::Worker(NOW + 9)),
            (leased(1), &open, Wait::Room),
        ] {
            assert_eq!(wait_of(&group, Some(ACCOUNT), throttle, &[], NOW), expected, "{group:?}");
        }
        for lane in [LaneSelector::Tenant("acme".parse().unwrap()), LaneSelector::Account(ACCOUNT.into())] {
            let order = |paused| [LaneOverride { lane: lane.clone(), paused, most: Some(1) }];
            let of =
                |orders: &[LaneOverride]| wait_of(&group(Reason::Paused, Some(NOW)), Some(ACCOUNT), &open, orders, NOW);
            assert_eq!((of(&order(true)), of(&order(false))), (Wait::Person(lane.clone()), Wait::Room));
        }
    }
}
