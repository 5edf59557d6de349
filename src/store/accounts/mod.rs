//! Decides what may be sent to an account now, from its throttle and from what operators ordered for it.

mod decide;
mod model;
mod opening;
mod overrides;
mod states;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::sql::Transaction;
use super::{Store, StoreError};
use crate::account::{Permission, Throttle};
use crate::batch::TenantId;

pub(super) use self::decide::PermitDecision;
pub use self::model::{AccountObservation, LaneOverride, LaneSelector, Pause, Permit};
pub(super) use self::overrides::{is_paused, keep_orders};
use self::overrides::{lane_overrides, order};
pub(super) use self::states::AccountStates;

/// What a worker asks about accounts. Every worker and command shares the answers.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Asks for the permit to send a request that creates nothing.
    ///
    /// With a tenant, a pause of the tenant or the account applies; without one the request is an operator's own and no
    /// pause stops it. A request that probes whether an account works again must be over within `lease`.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read what is known of the account.
    async fn permit(&self, account: &str, tenant: Option<&TenantId>, lease: Duration) -> Result<Permit, StoreError>;

    /// Returns an account's rate-limit pause, limit and circuit breaker.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read what is known of the account.
    async fn throttle(&self, account: &str) -> Result<Throttle, StoreError>;

    /// Returns how long nothing may be sent to each of these accounts, in their order: `None` for an account that is
    /// open, or that may be probed, or of which this version cannot read what is known.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn pauses(&self, accounts: &[Arc<str>]) -> Result<Vec<Option<Duration>>, StoreError>;

    /// Returns what operators have ordered for tenants and accounts.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn lane_overrides(&self) -> Result<Vec<LaneOverride>, StoreError>;
}

#[async_trait]
impl AccountStore for Store {
    async fn permit(&self, account: &str, tenant: Option<&TenantId>, lease: Duration) -> Result<Permit, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let known = AccountStates::read(&mut conn, now, BTreeSet::from([account])).await?;
        self.unreadable.noted(known.readable(account))?;
        if tenant.is_some_and(|tenant| known.is_paused(account, tenant)) {
            return Ok(Permit::Paused);
        }
        let wait = |until, broken| Permit::Wait(Pause::until(until, now, broken));
        match known.throttle(account).permission(now, 1) {
            Permission::Granted { .. } => Ok(Permit::Granted),
            Permission::RateLimited { until } => Ok(wait(until, false)),
            Permission::Broken { until } if until > now => Ok(wait(until, true)),
            Permission::Broken { .. } => {
                drop(conn);
                self.take_probe(account, lease).await
            }
        }
    }

    async fn throttle(&self, account: &str) -> Result<Throttle, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let known = AccountStates::read(&mut conn, now, BTreeSet::from([account])).await?;
        self.unreadable.noted(known.readable(account))?;
        Ok(known.throttle(account))
    }

    async fn pauses(&self, accounts: &[Arc<str>]) -> Result<Vec<Option<Duration>>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let names = accounts.iter().map(|account| &**account).collect();
        let known = AccountStates::throttles_of(&mut conn, names).await?;
        Ok(accounts.iter().map(|account| known.throttle(account).pause(now)).collect())
    }

    async fn lane_overrides(&self) -> Result<Vec<LaneOverride>, StoreError> {
        let rows = lane_overrides(&mut *self.reading().await?).await?;
        self.unreadable.skip(rows.iter().map(order))
    }
}

impl Store {
    /// Returns what is known of some accounts; one that this version cannot read counts as not known, and is noted.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn throttles(&self, accounts: BTreeSet<&str>) -> Result<HashMap<String, Throttle>, StoreError> {
        let mut known = AccountStates::throttles_of(&mut *self.reading().await?, accounts).await?;
        for row in std::mem::take(&mut known.unreadable).into_values() {
            self.unreadable.skip::<()>([Err(StoreError::Unreadable(row))])?;
        }
        Ok(known.throttles.into_iter().collect())
    }

    async fn take_probe(&self, account: &str, lease: Duration) -> Result<Permit, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let mut known = AccountStates::keep(transaction.conn()?, BTreeSet::from([account])).await?;
        known.readable(account)?;
        let taken = known.take_probe(account, now, lease);
        known.store(transaction.conn()?).await?;
        transaction.commit().await?;
        Ok(match known.throttle(account).permission(now, 1) {
            _ if taken => Permit::Probe,
            // Another has probed it meanwhile.
            Permission::Granted { .. } => Permit::Granted,
            Permission::RateLimited { until } => Permit::Wait(Pause::until(until, now, false)),
            Permission::Broken { until } => Permit::Wait(Pause::until(until, now, true)),
        })
    }
}
