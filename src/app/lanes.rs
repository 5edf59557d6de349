//! Pauses, resumes and limits lanes for all workers.

use serde_json::{Value, json};

use super::actor::{Actor, NotAllowed, Role, require};
use super::connections::similar_to;
use crate::account::{Permission, Throttle};
use crate::batch::{NotAnId, TenantId};
use crate::config;
pub use crate::store::accounts::{LaneOverride, LaneSelector};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::connections::ConnectionRow;
pub use crate::store::shelf::Waiting;
use crate::store::{AccountStore, ConnectionStore, Store, StoreError, StoreHealth};
use crate::testmo::{AddressPolicy, AddressRefused};

/// The largest limit of a lane, in requests at once.
pub const MOST_REQUESTS: u32 = 10_000;

/// What a person can order for a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneOrder {
    /// Send nothing.
    Pause,
    /// Send again.
    Resume {
        /// Whether to end a pause that Testmo asked for, too, and to try an account that fails at once.
        now: bool,
    },
    /// Send at most so many requests at once, by all workers together; no limit if there is no number.
    Limit(Option<u32>),
}

/// What was ordered, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// What is in force now.
    pub order: LaneOverride,
    /// Whether the order ended a pause that Testmo had asked for, or the wait for an account that fails.
    pub opened: bool,
    /// What waits on the shelf for the tenants of a lane that was resumed.
    pub waiting: Option<Waiting>,
    /// What keeps batches of the lane from being sent although the lane is not paused.
    pub closed: Vec<Closure>,
}

/// What keeps batches of a lane from being sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closure {
    /// Testmo asked for a pause until then, in milliseconds on the store's clock.
    RateLimited(String, i64),
    /// The account fails, and is tried again then.
    Failing(String, i64),
    /// Another order pauses the account, or a tenant of it.
    Paused(LaneSelector),
    /// The connection of a tenant does not work.
    Unverified(TenantId),
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
    #[error("no connection is stored for {}", .lane.name())]
    Unknown {
        /// The lane.
        lane: LaneSelector,
        /// A tenant of a similar name that has a connection.
        meant: Option<TenantId>,
    },
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
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
/// When the person may not, no connection belongs to the lane, or the store does not answer.
pub async fn order(
    store: &Store,
    actor: &Actor,
    testmo: &config::Testmo,
    lane: &str,
    order: LaneOrder,
    reason: Option<&str>,
) -> Result<Ordered, LaneError> {
    require(actor, Role::Operator)?;
    let lane = selector(lane, &AddressPolicy::new(testmo))?;
    let connections = match &lane {
        LaneSelector::Tenant(tenant) => store.connection(tenant).await?.into_iter().collect(),
        LaneSelector::Account(account) => {
            let all = store.connections().await?;
            all.into_iter().filter(|row| row.origin == *account).collect::<Vec<_>>()
        }
    };
    let Some(first) = connections.first() else {
        let meant = match &lane {
            LaneSelector::Tenant(tenant) => similar_to(store, tenant).await?,
            LaneSelector::Account(_) => None,
        };
        return Err(LaneError::Unknown { lane, meant });
    };
    // Before a worker takes what the order makes due.
    let waiting = match order {
        LaneOrder::Resume { .. } => Some(waiting(store, &connections).await?),
        LaneOrder::Pause | LaneOrder::Limit(_) => None,
    };
    let change = |before: LaneOverride| {
        let after = order.applied_to(&before);
        let entry = order.entry(actor, &lane, state(&before), state(&after)).because(reason);
        (after, vec![entry])
    };
    let ordered = store.change_lane(&lane, change).await?;
    let opened = match order {
        LaneOrder::Resume { now: true } => {
            let account = LaneSelector::Account(first.origin.clone());
            let [before, after] = ["closed", "open"].map(|state| json!({"account": state}));
            let entry = order.entry(actor, &account, before, after).because(reason);
            store.open_account(&first.origin, &[entry]).await?
        }
        LaneOrder::Pause | LaneOrder::Resume { now: false } | LaneOrder::Limit(_) => false,
    };
    let closed = match ordered.paused {
        true => Vec::new(),
        false => closures(
            &ordered.lane,
            &connections,
            &store.lane_overrides().await?,
            &store.throttle(&first.origin).await?,
            store.now(),
        ),
    };
    Ok(Ordered { order: ordered, opened, waiting, closed })
}

impl LaneOrder {
    /// Returns what is in force after the order.
    fn applied_to(self, before: &LaneOverride) -> LaneOverride {
        match self {
            Self::Pause => LaneOverride { paused: true, ..before.clone() },
            Self::Resume { .. } => LaneOverride { paused: false, ..before.clone() },
            Self::Limit(most) => LaneOverride { most, ..before.clone() },
        }
    }

    /// Describes the order as the audit keeps it.
    fn entry(self, actor: &Actor, lane: &LaneSelector, before: Value, after: Value) -> AuditEntry {
        let action = match self {
            Self::Pause => AuditAction::PauseLane,
            Self::Resume { .. } => AuditAction::ResumeLane,
            Self::Limit(_) => AuditAction::SetLane,
        };
        let tenant = match lane {
            LaneSelector::Tenant(tenant) => Some(tenant.clone()),
            LaneSelector::Account(_) => None,
        };
        let subject = AuditSubject { tenant, ..AuditSubject::named(format_args!("lane {}", lane.name())) };
        AuditEntry::new(actor, action, subject).change(Some(before), Some(after))
    }
}

fn state(order: &LaneOverride) -> Value {
    json!({"paused": order.paused, "limit": order.most})
}

/// Counts what waits on the shelf for the tenants of some connections.
async fn waiting(store: &Store, connections: &[ConnectionRow]) -> Result<Waiting, StoreError> {
    let mut all = Waiting::default();
    let tenants: Vec<&TenantId> = connections.iter().map(|row| &row.tenant).collect();
    for Waiting { batches, is_more, since } in store.waiting_of_each(&tenants).await?.into_values() {
        all.batches += batches;
        all.is_more |= is_more;
        all.since = [all.since, since].into_iter().flatten().min();
    }
    Ok(all)
}

/// Returns what keeps a lane closed that is not paused itself; all its connections are to one account.
fn closures(
    lane: &LaneSelector,
    connections: &[ConnectionRow],
    overrides: &[LaneOverride],
    throttle: &Throttle,
    now: i64,
) -> Vec<Closure> {
    let account = connections.first().map(|row| row.origin.clone()).unwrap_or_default();
    let of_lane = |other: &LaneSelector| match other {
        LaneSelector::Account(origin) => *origin == account,
        LaneSelector::Tenant(tenant) => connections.iter().any(|row| row.tenant == *tenant),
    };
    let paused = overrides.iter().filter(|other| other.paused && other.lane != *lane && of_lane(&other.lane));
    let mut closed: Vec<Closure> = paused.map(|other| Closure::Paused(other.lane.clone())).collect();
    match throttle.permission(now, 1) {
        Permission::RateLimited { until } => closed.push(Closure::RateLimited(account, until)),
        Permission::Broken { until } => closed.push(Closure::Failing(account, until)),
        Permission::Granted { .. } => {}
    }
    if let (LaneSelector::Tenant(tenant), [row]) = (lane, connections)
        && !row.is_verified()
    {
        closed.push(Closure::Unverified(tenant.clone()));
    }
    closed
}

/// Reads the name of a lane: a base URL is an account, anything else a tenant.
fn selector(text: &str, policy: &AddressPolicy) -> Result<LaneSelector, LaneError> {
    if text.contains("://") {
        return Ok(LaneSelector::Account(policy.read(text)?.origin.as_str().to_owned()));
    }
    Ok(LaneSelector::Tenant(TenantId::new(text)?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixture;
    use super::*;
    use crate::account::Signal;
    use crate::batch::Reason;
    use crate::config::{Sources, load};
    use crate::store::LedgerStore;
    use crate::store::accounts::AccountObservation;
    use crate::store::ledger::Commit;
    use crate::store::shelf::{ShelfFilter, ShelfIdentity, ShelvedUntil, Shelving};

    const ORIGIN: &str = "https://acme.testmo.net";
    const DAY: Duration = Duration::from_secs(86_400);

    async fn ordered(store: &Store, lane: &str, wanted: LaneOrder) -> Ordered {
        let config = load(&Sources::default()).unwrap();
        order(store, &fixture::anna(), &config.testmo, lane, wanted, None).await.unwrap()
    }

    async fn observed(store: &Store, signal: Signal) {
        let observation = Some(AccountObservation { account: ORIGIN.into(), signal, ceiling: 4 });
        store.commit(Commit { observation, ..Commit::default() }.into()).await.unwrap();
    }

    #[tokio::test]
    async fn a_resumed_lane_says_what_keeps_it_closed_and_is_opened_on_request() {
        let (store, _dir) = fixture::with_acme().await;
        observed(&store, Signal::Throttled(DAY)).await;
        for (batch, reason) in [("b-1", Reason::Throttled), ("b-2", Reason::FolderUnconfirmed)] {
            let identity = ShelfIdentity::Batch(format!("acme/{batch}").parse().unwrap(), "1:f".into());
            let until = ShelvedUntil::After(DAY);
            let row = Shelving { until, ..fixture::row(identity, reason, fixture::message()).content };
            store.commit(Commit { shelve: Some(row), ..Commit::default() }.into()).await.unwrap();
        }
        let due = async || {
            let rows = store.shelf(&ShelfFilter::default(), 9).await.unwrap();
            rows.iter().map(|row| row.due_at <= store.now()).collect::<Vec<_>>()
        };
        for lane in ["acme", ORIGIN] {
            let Ordered { opened, closed, waiting, .. } = ordered(&store, lane, LaneOrder::Resume { now: false }).await;
            let waiting = waiting.unwrap();
            assert!(waiting.batches == 2 && waiting.since.is_some(), "{waiting:?}");
            assert!(!opened && matches!(&closed[..], [Closure::RateLimited(..)]), "{closed:?}");
        }
        assert_eq!(due().await, [false, false]);
        let Ordered { opened, closed, .. } = ordered(&store, "acme", LaneOrder::Resume { now: true }).await;
        assert_eq!(
            (opened, closed, due().await),
            (true, vec![], vec![true, false]),
            "the folder is no matter of the account"
        );
        let Ordered { opened, closed, .. } = ordered(&store, "acme", LaneOrder::Resume { now: true }).await;
        assert_eq!((opened, closed), (false, vec![]));
        for _ in 0..8 {
            observed(&store, Signal::Failed).await;
        }
        let Ordered { closed, .. } = ordered(&store, "acme", LaneOrder::Limit(None)).await;
        assert!(matches!(&closed[..], [Closure::Failing(..)]), "{closed:?}");
    }

    #[tokio::test]
    async fn a_resumed_lane_names_the_other_pauses_and_a_connection_that_does_not_work() {
        let (store, _dir) = fixture::with_acme().await;
        let resume = LaneOrder::Resume { now: false };
        ordered(&store, ORIGIN, LaneOrder::Pause).await;
        let account = Closure::Paused(LaneSelector::Account(ORIGIN.into()));
        assert_eq!(ordered(&store, "acme", resume).await.closed, [account]);
        assert_eq!(ordered(&store, "acme", LaneOrder::Pause).await.closed, [], "a paused lane is asked for nothing");
        let tenant = Closure::Paused(LaneSelector::Tenant(fixture::acme()));
        assert_eq!(ordered(&store, ORIGIN, resume).await.closed, [tenant]);
        let mut row = store.connection(&fixture::acme()).await.unwrap().unwrap();
        row.verified_version = None;
        assert!(store.set_connection(&row).await.unwrap().is_done());
        assert_eq!(ordered(&store, "acme", resume).await.closed, [Closure::Unverified(fixture::acme())]);
    }
}
