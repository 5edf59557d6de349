//! Draws from the seed what is on the shelf of a quiet store, and which of its causes are gone.

use std::time::Duration;

use fastrand::Rng;
use testmo_courier::batch::Reason;
use testmo_courier::batch::generation::Dropped;
use testmo_courier::batch::replay::Forecast;

use crate::batches::{BatchPlan, CaseFate, CasePlan};
use crate::mutation::Mutation;
use crate::people::Limits;
use crate::plan::{self, ACCOUNTS, Kind, Plan, TenantPlan, ms};
use crate::weather::Rates;

/// A quiet store before one replay.
#[derive(Clone, Debug)]
pub(super) struct QuietPlan {
    pub(super) plan: Plan,
    pub(super) groups: Vec<Group>,
    pub(super) limits: Limits,
    pub(super) trouble: Trouble,
    /// Whether the replay is resumed if it stops itself, after every trouble has ended.
    pub(super) resumes: bool,
}

/// What is wrong with a tenant or an account when the replay is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    None,
    /// The tenant has no connection.
    NoConnection {
        tenant: usize,
    },
    /// A person has paused the tenant's lane.
    Paused {
        tenant: usize,
    },
    /// The account has asked for a pause.
    RateLimited {
        account: &'static str,
        pause: Duration,
    },
    /// The account answers every request with a status, which nobody knows yet.
    Failing {
        account: &'static str,
        status: u16,
    },
}

/// Entries that failed for one cause.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) tenant: usize,
    pub(super) cause: Cause,
    pub(super) batches: Vec<BatchPlan>,
}

/// Why entries are dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Testmo failed for too long, and works again.
    Outage,
    /// No queue was bound for the message.
    NoQueue,
    /// Testmo refuses a case. `changed`: the connection was changed since, although that does not help.
    Refused { changed: bool },
    /// All cases are in Testmo: the entry is a copy that came astray.
    Delivered,
    /// A row of the batch was taken away in Testmo.
    Lost,
}

impl QuietPlan {
    /// Draws the plan of a seed.
    pub(super) fn of(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x0009_01e7);
        let tenant = |number: usize, account: usize| TenantPlan {
            name: format!("t{number}"),
            account: ACCOUNTS[account],
            folder: 1,
            batch_tag: true,
            connected: true,
            dropped: Dropped::Leave,
        };
        let mut tenants = vec![tenant(0, 0), tenant(1, 0), tenant(2, 1)];
        let trouble = trouble(&mut rng);
        if let Trouble::NoConnection { tenant } = trouble {
            tenants[tenant].connected = false;
        }
        let groups = (0..rng.usize(1..5)).map(|number| group(&mut rng, number)).collect();
        let rates = Rates {
            store_takes: Some(ms(&mut rng, 1..4)),
            request_takes: Some(ms(&mut rng, 50..400)),
            ..Rates::default()
        };
        let limits = plan::Limits {
            max_cases: 100,
            concurrency: rng.usize(1..5),
            account_limit: rng.u32(1..7),
            pack: true,
            prefetch: 20,
            tries: rng.u32(1..4),
            longest_wait: Duration::from_secs(30),
        };
        let plan = Plan {
            seed,
            kind: Kind::Quiet,
            mutation,
            replicas: rng.usize(1..4),
            tenants,
            batches: Vec::new(),
            broken: Vec::new(),
            actions: Vec::new(),
            rates,
            limits,
            roams: false,
            healed: Duration::ZERO,
        };
        let per_minute = (rng.u8(..4) == 0).then(|| rng.u32(60..1_200));
        let limits = Limits { per_minute, most: None, unchanged_too: rng.u8(..4) == 0 };
        Self { plan, groups, limits, trouble, resumes: rng.bool() }
    }

    /// Returns what the plan is to say of the entries of a group.
    pub(super) fn forecast(&self, group: &Group) -> Forecast {
        let account = self.plan.tenants[group.tenant].account;
        let is_held = match self.trouble {
            Trouble::NoConnection { tenant } | Trouble::Paused { tenant } => tenant == group.tenant,
            Trouble::RateLimited { account: of, .. } => of == account,
            Trouble::None | Trouble::Failing { .. } => false,
        };
        match group.cause {
            Cause::Delivered => Forecast::AlreadyInTestmo,
            Cause::Outage | Cause::NoQueue | Cause::Refused { .. } | Cause::Lost if is_held => Forecast::NotYet,
            Cause::Lost => Forecast::OutcomeUnknown,
            Cause::Refused { changed: false } => Forecast::RefusedAgain,
            Cause::Outage | Cause::NoQueue | Cause::Refused { changed: true } => Forecast::Ready,
        }
    }

    /// Returns whether the entries of a group are tried.
    pub(super) fn is_tried(&self, group: &Group) -> bool {
        self.forecast(group).is_tried(self.limits.unchanged_too)
    }

    /// Returns whether what a group needs works when the replay comes to it.
    pub(super) fn is_fixed(&self, group: &Group) -> bool {
        !matches!(group.cause, Cause::Refused { .. }) && !self.is_failing(group)
    }

    /// Returns whether the account of a group fails.
    pub(super) fn is_failing(&self, group: &Group) -> bool {
        matches!(self.trouble, Trouble::Failing { account, .. } if account == self.plan.tenants[group.tenant].account)
    }

    /// Returns whether entries of a group are passed over because their tenant cannot send.
    pub(super) fn is_passed_over(&self, group: &Group) -> bool {
        match self.trouble {
            Trouble::NoConnection { tenant } | Trouble::Paused { tenant } => tenant == group.tenant,
            Trouble::None | Trouble::RateLimited { .. } | Trouble::Failing { .. } => false,
        }
    }
}

impl Cause {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Outage => Reason::RetriesExhausted,
            Self::NoQueue | Self::Delivered => Reason::Undeliverable,
            Self::Refused { .. } => Reason::CaseRefused,
            Self::Lost => Reason::UnclearInTestmo,
        }
    }

    /// Returns whether the shelf knows the entry as a message, and not as a batch.
    pub(super) fn is_raw(self) -> bool {
        matches!(self, Self::NoQueue | Self::Delivered)
    }
}

fn trouble(rng: &mut Rng) -> Trouble {
    let account = ACCOUNTS[rng.usize(..2)];
    match rng.u8(..40) {
        0 => Trouble::NoConnection { tenant: rng.usize(..3) },
        1 => Trouble::Paused { tenant: rng.usize(..3) },
        2 => Trouble::RateLimited { account, pause: ms(rng, 5_000..480_000) },
        3..=12 => Trouble::Failing { account, status: [403, 404, 503][rng.usize(..3)] },
        _ => Trouble::None,
    }
}

fn group(rng: &mut Rng, number: usize) -> Group {
    let cause = match rng.u8(..40) {
        0 => Cause::Lost,
        1..=6 => Cause::Delivered,
        7..=12 => Cause::NoQueue,
        13..=18 => Cause::Refused { changed: false },
        19..=24 => Cause::Refused { changed: true },
        _ => Cause::Outage,
    };
    let count = match rng.u8(..10) {
        0 => rng.usize(100..500),
        1..=3 => rng.usize(20..100),
        _ => rng.usize(1..20),
    };
    let (tenant, most) = (rng.usize(..3), rng.usize(2..7));
    // Only a few cases of a quiet store have an unknown outcome.
    let count = if cause == Cause::Lost { count.min(5) } else { count };
    let batches = (0..count).map(|n| batch(rng, cause, tenant, &format!("g{number} b{n}"), most)).collect();
    Group { tenant, cause, batches }
}

fn batch(rng: &mut Rng, cause: Cause, tenant: usize, name: &str, most: usize) -> BatchPlan {
    let case = |n: usize| CasePlan { name: format!("{name} c{n}"), fate: CaseFate::Taken, path: None };
    let mut cases: Vec<CasePlan> = match cause {
        Cause::Lost => vec![case(0)],
        Cause::Refused { .. } => vec![case(0), case(1)],
        Cause::Outage | Cause::NoQueue | Cause::Delivered => (0..rng.usize(1..most)).map(case).collect(),
    };
    if let Cause::Refused { .. } = cause {
        cases[1].fate = CaseFate::Refused;
        cases[1].name.push_str(&"x".repeat(512));
    }
    let id = name.replace(' ', "-");
    BatchPlan { tenant, id, cases, path: Vec::new(), at: Vec::new(), after: None, astray: false }
}
