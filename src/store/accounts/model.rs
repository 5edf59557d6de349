//! The values in which permits are asked for and orders are given.

use std::time::Duration;

use crate::account::Signal;
use crate::batch::TenantId;

/// What a request observed of its account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountObservation {
    /// The account.
    pub account: String,
    /// The observation.
    pub signal: Signal,
    /// How many requests at once are configured for it.
    pub ceiling: u32,
}

/// The answer to a request for a permit to send one request that creates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// It may be sent.
    Granted,
    /// Not before this pause is over.
    Wait(Pause),
    /// The circuit breaker is open, and the caller alone may probe whether the account works again.
    Probe,
    /// An operator has paused the account or the tenant.
    Paused,
}

/// Why nothing is sent to an account, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The time from now on.
    pub wait: Duration,
    /// Whether the circuit breaker is open; else the account has asked for the pause.
    pub broken: bool,
}

/// What an operator ordered for a tenant or an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneOverride {
    /// For whom.
    pub lane: LaneSelector,
    /// Whether nothing is sent.
    pub paused: bool,
    /// The most requests at once, by all workers.
    pub most: Option<u32>,
}

/// Whom an order is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneSelector {
    /// One tenant.
    Tenant(TenantId),
    /// Every tenant of an account, by its canonical origin.
    Account(String),
}

impl Pause {
    pub(super) fn until(until: i64, now: i64, broken: bool) -> Self {
        Self { wait: Duration::from_millis(u64::try_from(until - now).unwrap_or(0)), broken }
    }
}

impl LaneSelector {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Account(_) => "account",
        }
    }

    /// The tenant's or the account's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Tenant(tenant) => tenant.as_str(),
            Self::Account(account) => account,
        }
    }
}
