//! Draws runs in which many batches of a tenant in trouble arrive before those of a healthy one.

use std::time::Duration;

use fastrand::Rng;
use testmo_courier::batch::generation::Dropped;

use super::{ACCOUNTS, Action, Plan, TenantPlan, ms};
use crate::batches::{BatchPlan, CaseFate, CasePlan};
use crate::weather::Rates;

/// The position of the healthy tenant.
pub(crate) const HEALTHY: usize = 1;

/// Puts a flood in place of everything that was drawn for a plan. Apart from the trouble of one tenant all is well, so
/// that the other tenant's batches have to be delivered soon.
pub(super) fn flood(plan: &mut Plan, rng: &mut Rng) {
    let (is_unknown, is_refused) = match rng.u8(..3) {
        0 => (true, false),
        1 => (false, true),
        _ => (false, false),
    };
    let tenant = |number: usize, connected| TenantPlan {
        name: format!("t{number}"),
        account: ACCOUNTS[number],
        folder: 1,
        batch_tag: true,
        connected,
        dropped: Dropped::Leave,
    };
    plan.tenants = vec![tenant(0, !is_unknown), tenant(HEALTHY, true)];
    let flood = (0..rng.usize(60..160)).map(|number| batch(0, number, ms(rng, 1_000..3_000)));
    plan.batches = flood.collect();
    let calm = (0..6).map(|number| batch(HEALTHY, number, ms(rng, 1_000..12_000)));
    plan.batches.extend(calm.collect::<Vec<_>>());
    plan.broken = Vec::new();
    plan.replicas = 1;
    plan.actions = if is_refused { vec![(Duration::ZERO, Action::Revoke { tenant: 0 })] } else { Vec::new() };
    let takes = ms(rng, 10..40);
    plan.rates = Rates { store_takes: Some(takes), unbound: !is_unknown && !is_refused, ..Rates::default() };
    plan.limits.prefetch = 200;
    plan.limits.longest_wait = Duration::from_secs(60);
}

fn batch(tenant: usize, number: usize, at: Duration) -> BatchPlan {
    let case = CasePlan { name: format!("case of t{tenant} b{number}"), fate: CaseFate::Taken, path: None };
    BatchPlan {
        tenant,
        id: format!("b{number}"),
        cases: vec![case],
        path: Vec::new(),
        at: vec![at],
        after: None,
        astray: false,
    }
}
