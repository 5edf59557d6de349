//! What may be sent to an account now? Its throttle, what people ordered, and how much is under way.

use std::sync::Arc;
use std::time::Duration;

use testmo_courier::account::{Permission, Signal, Throttle};
use testmo_courier::batch::TenantId;
use testmo_courier::store::accounts::{AccountObservation, LaneOverride, LaneSelector, Pause, Permit};
use testmo_courier::store::shelf::ShelfState;

use super::tables::{Permitted, Push, RateLimitPause, Tables, after, tenant_of};
use crate::mutation::Mutation;

/// The answer to a wish to send a request that creates cases.
pub(super) enum Answer {
    Granted { limit: u32 },
    Full { limit: u32 },
    Wait(Pause),
    Probe,
    Paused,
}

impl Tables {
    pub(crate) fn throttle(&self, account: &str) -> Throttle {
        self.throttles.get(account).cloned().unwrap_or_default()
    }

    fn orders_for<'a>(&'a self, account: &'a str, tenant: &'a TenantId) -> impl Iterator<Item = &'a LaneOverride> {
        self.orders.iter().filter(move |order| match &order.lane {
            LaneSelector::Tenant(of) => of == tenant,
            LaneSelector::Account(of) => of == account,
        })
    }

    fn is_paused(&self, account: &str, tenant: &TenantId, now: i64) -> bool {
        self.is_ordered_to_pause(Some(tenant), Some(account)) || self.removing_until(Some(tenant), now).is_some()
    }

    /// Until when the work of a tenant is paused because a person may remove it, if it is.
    pub(super) fn removing_until(&self, tenant: Option<&TenantId>, now: i64) -> Option<i64> {
        self.connections.get(tenant?)?.removing_until.filter(|until| *until > now)
    }

    pub(super) fn is_ordered_to_pause(&self, tenant: Option<&TenantId>, account: Option<&str>) -> bool {
        self.orders.iter().filter(|order| order.paused).any(|order| match &order.lane {
            LaneSelector::Tenant(of) => tenant == Some(of),
            LaneSelector::Account(of) => account == Some(of),
        })
    }

    /// Requests without an end whose lease is not over.
    fn under_way<'a>(&'a self, account: &'a str, now: i64) -> impl Iterator<Item = &'a Push> {
        let is_under_way = move |push: &&Push| push.account == account && !push.ended && push.lease_until > now;
        self.pushes.values().filter(is_under_way)
    }

    pub(crate) fn permit(&mut self, account: &str, tenant: Option<&TenantId>, lease: Duration, now: i64) -> Permit {
        let permit = self.find_permit(account, tenant, lease, now);
        if matches!(permit, Permit::Granted | Permit::Probe) {
            self.permits.push(Permitted { to: self.caller, account: account.to_owned(), at: now, used: false });
        }
        permit
    }

    fn find_permit(&mut self, account: &str, tenant: Option<&TenantId>, lease: Duration, now: i64) -> Permit {
        if tenant.is_some_and(|tenant| self.is_paused(account, tenant, now)) {
            return Permit::Paused;
        }
        let lease = if self.has(Mutation::HideOpenAccounts) { lease * 8 } else { lease };
        match self.permission(account, 1, now) {
            Permission::Granted { .. } => Permit::Granted,
            Permission::RateLimited { until } => Permit::Wait(pause(until, now, false)),
            Permission::Broken { until } if until > now => Permit::Wait(pause(until, now, true)),
            Permission::Broken { .. } if self.take_probe(account, now, lease) => Permit::Probe,
            // Whoever was quicker probes.
            Permission::Broken { until } => Permit::Wait(pause(until, now, true)),
        }
    }

    /// Leave for one more request that creates cases.
    pub(super) fn ask(&self, account: &str, tenant: &TenantId, ceiling: u32, now: i64) -> Answer {
        if self.is_paused(account, tenant, now) {
            return Answer::Paused;
        }
        let limit = match self.permission(account, ceiling, now) {
            Permission::Granted { limit } => limit,
            Permission::RateLimited { until } => return Answer::Wait(pause(until, now, false)),
            Permission::Broken { until } if until > now => return Answer::Wait(pause(until, now, true)),
            Permission::Broken { .. } => return Answer::Probe,
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let of_account = count(self.under_way(account, now).count());
        let of_tenant = count(self.under_way(account, now).filter(|push| push.tenant == *tenant).count());
        let full = self.orders_for(account, tenant).any(|order| {
            let taken = if matches!(order.lane, LaneSelector::Tenant(_)) { of_tenant } else { of_account };
            order.most.is_some_and(|most| taken >= most)
        });
        if full || of_account >= limit { Answer::Full { limit } } else { Answer::Granted { limit } }
    }

    fn permission(&self, account: &str, ceiling: u32, now: i64) -> Permission {
        let permission = self.throttle(account).permission(now, ceiling);
        let is_paused = matches!(permission, Permission::RateLimited { .. });
        if is_paused && self.has(Mutation::IgnorePauses) { Permission::Granted { limit: ceiling } } else { permission }
    }

    fn take_probe(&mut self, account: &str, now: i64, lease: Duration) -> bool {
        self.throttles.entry(account.to_owned()).or_default().take_probe(now, lease)
    }

    pub(super) fn observe(&mut self, observation: &AccountObservation, now: i64) {
        self.throttles.entry(observation.account.clone()).or_default().observe(
            observation.signal,
            now,
            observation.ceiling,
        );
        if let Signal::Throttled(wait) = observation.signal {
            self.rate_limit_pauses.push(RateLimitPause {
                account: observation.account.clone(),
                until: after(now, wait),
                grants_before: self.grants.len(),
                permits_before: self.permits.len(),
            });
        }
    }

    pub(crate) fn pauses(&self, accounts: &[Arc<str>], now: i64) -> Vec<Option<Duration>> {
        if self.has(Mutation::HideOpenAccounts) {
            return accounts.iter().map(|_| Some(Duration::from_secs(60))).collect();
        }
        accounts.iter().map(|account| self.throttle(account).pause(now)).collect()
    }

    pub(crate) fn lane_overrides(&self) -> Vec<LaneOverride> {
        self.orders.clone()
    }

    /// Keeps an order in place of the one before; what was put on the shelf because of a pause that is over is due.
    pub(crate) fn set_lane_override(&mut self, order: &LaneOverride, now: i64) {
        if !order.paused {
            for row in self.shelf.values_mut() {
                let content = &row.content;
                let is_meant = match &order.lane {
                    LaneSelector::Tenant(tenant) => tenant_of(&content.identity) == Some(tenant),
                    LaneSelector::Account(account) => content.account.as_ref() == Some(account),
                };
                let is_paused = content.reason == testmo_courier::batch::Reason::Paused;
                if is_meant && is_paused && row.state == ShelfState::Parked {
                    row.due_at = now;
                }
            }
        }
        self.orders.retain(|other| other.lane != order.lane);
        if order.paused || order.most.is_some() {
            self.orders.push(order.clone());
        }
        self.orders.sort_by_key(|order| (matches!(order.lane, LaneSelector::Tenant(_)), order.lane.name().to_owned()));
    }
}

fn pause(until: i64, now: i64, broken: bool) -> Pause {
    Pause { wait: Duration::from_millis(u64::try_from(until - now).unwrap_or(0)), broken }
}
