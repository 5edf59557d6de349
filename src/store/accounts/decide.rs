//! Decides about permits for requests that create cases, and takes in what requests observed.

use std::time::Duration;

use super::{AccountObservation, AccountStates, LaneOverride, LaneSelector, Pause};
use crate::account::{Permission, Throttle};
use crate::batch::TenantId;

/// The answer to a request for a permit to create cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum PermitDecision {
    Granted { limit: u32 },
    Full { limit: u32 },
    Wait(Pause),
    Probe,
    Paused,
}

impl AccountStates {
    /// Decides about a permit for one more request that creates cases; a granted one counts as in flight from then on.
    pub(in crate::store) fn ask(&mut self, account: &str, tenant: &TenantId, ceiling: u32) -> PermitDecision {
        if self.is_paused(account, tenant) {
            return PermitDecision::Paused;
        }
        let limit = match self.throttle(account).permission(self.now, ceiling) {
            Permission::Granted { limit } => limit,
            Permission::RateLimited { until } => return PermitDecision::Wait(Pause::until(until, self.now, false)),
            Permission::Broken { until } if until > self.now => {
                return PermitDecision::Wait(Pause::until(until, self.now, true));
            }
            Permission::Broken { .. } => return PermitDecision::Probe,
        };
        let of_tenant = |known: &Self| {
            let key = (account.to_owned(), tenant.as_str().to_owned());
            known.under_way.get(&key).copied().unwrap_or(0)
        };
        let of_account: u32 = self.under_way.iter().filter(|((of, _), _)| of == account).map(|(_, n)| n).sum();
        let full = self.orders_for(account, tenant).any(|order| match &order.lane {
            LaneSelector::Tenant(_) => order.most.is_some_and(|most| of_tenant(self) >= most),
            LaneSelector::Account(_) => order.most.is_some_and(|most| of_account >= most),
        });
        if full || of_account >= limit {
            return PermitDecision::Full { limit };
        }
        *self.under_way.entry((account.to_owned(), tenant.as_str().to_owned())).or_default() += 1;
        PermitDecision::Granted { limit }
    }

    pub(super) fn is_paused(&self, account: &str, tenant: &TenantId) -> bool {
        self.orders_for(account, tenant).any(|order| order.paused)
    }

    fn orders_for<'a>(&'a self, account: &'a str, tenant: &'a TenantId) -> impl Iterator<Item = &'a LaneOverride> {
        self.orders.iter().filter(move |order| match &order.lane {
            LaneSelector::Tenant(of) => of == tenant,
            LaneSelector::Account(of) => of == account,
        })
    }

    pub(super) fn take_probe(&mut self, account: &str, now: i64, lease: Duration) -> bool {
        let mut throttle = self.throttle(account);
        let taken = throttle.take_probe(now, lease);
        if taken {
            self.set(account, throttle);
        }
        taken
    }

    /// Ends what keeps an account closed; returns whether anything did.
    pub(super) fn open(&mut self, account: &str, now: i64) -> bool {
        let mut throttle = self.throttle(account);
        let was_closed = throttle.open(now);
        if was_closed {
            self.set(account, throttle);
        }
        was_closed
    }

    /// Applies what a request observed.
    pub(in crate::store) fn observe(&mut self, observation: &AccountObservation, now: i64) {
        if self.unreadable.contains_key(&observation.account) {
            return;
        }
        let mut throttle = self.throttle(&observation.account);
        if throttle.observe(observation.signal, now, observation.ceiling) {
            self.set(&observation.account, throttle);
        }
    }

    fn set(&mut self, account: &str, throttle: Throttle) {
        self.throttles.insert(account.to_owned(), throttle);
        self.changed.insert(account.to_owned());
    }
}
