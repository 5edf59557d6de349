//! Draws the plans of a rehearsal: a flood that measures the rate, and rounds in which each replica is switched twice.

use std::collections::BTreeSet;
use std::time::Duration;

use fastrand::Rng;

use super::times::BUSY;
use crate::batches::Batch;
use crate::draw::{apart, trouble};
use crate::plan::{Action, Form, Plan, QUEUE_SETTLES, TENANTS, Version, Wait};

/// The form of every plan.
const FORM: Form = Form { replicas: 3, short: false, late: false };
/// How many batches the previous version delivers before the present one opens the store.
const FIRST: usize = 30;
/// When replicas are switched to the present version and back, in percent of the length of a round.
const SWITCHES: [(u64, usize, Version); 6] = [
    (20, 0, Version::Present),
    (30, 1, Version::Present),
    (40, 2, Version::Present),
    (60, 0, Version::Previous),
    (70, 1, Version::Previous),
    (80, 2, Version::Previous),
];

/// A fixed load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// How many batches are published in a second.
    pub(crate) per_second: f64,
    /// For how long, in milliseconds.
    pub(crate) length: u64,
}

/// Returns a plan in which all batches are published at once and nothing fails.
pub(super) fn flood(batches: usize) -> Plan {
    let mut rng = Rng::with_seed(0);
    let batches: Vec<Batch> = (0..batches).map(|number| batch(&mut rng, number)).collect();
    let actions = (0..batches.len()).map(|batch| (Duration::ZERO, Action::Publish { batch })).collect();
    plan(0, batches, 0, actions)
}

/// Draws a round.
pub(super) fn round(seed: u64, load: Load) -> Plan {
    let mut rng = Rng::with_seed(seed);
    let times = publishing_times(load);
    let batches: Vec<Batch> = (0..FIRST + times.len()).map(|number| batch(&mut rng, number)).collect();
    let mut actions: Vec<(u64, Action)> =
        times.into_iter().zip(FIRST..).map(|(at, batch)| (at, Action::Publish { batch })).collect();
    let switch =
        |(percent, worker, to): (u64, usize, Version)| (load.length * percent / 100, Action::Switch { worker, to });
    actions.extend(SWITCHES.map(switch));
    let mut killed = BTreeSet::new();
    for _ in 0..rng.usize(4..10) {
        let at = rng.u64(500..load.length);
        actions.extend(fault(&mut rng, &mut killed).map(|fault| (at, fault)));
    }
    if seed % 4 == 3 {
        let settled = u64::try_from(QUEUE_SETTLES.as_millis()).unwrap_or(u64::MAX);
        actions.push((rng.u64(settled..load.length), Action::KillBroker));
    }
    actions.sort_by_key(|(at, _)| *at);
    let timed = actions.into_iter().map(|(at, action)| (Duration::from_millis(at), action)).collect();
    plan(seed, batches, FIRST, apart(timed))
}

/// Returns when a batch is published, in milliseconds: at equal distances.
fn publishing_times(load: Load) -> Vec<u64> {
    let every = (1_000.0 / load.per_second.max(0.1)).max(1.0);
    let length = u32::try_from(load.length).map_or(f64::MAX, f64::from);
    let count = (length / every) as u32;
    (0..count).map(|number| (f64::from(number) * every) as u64).collect()
}

fn plan(seed: u64, batches: Vec<Batch>, first: usize, actions: Vec<(Duration, Action)>) -> Plan {
    Plan {
        seed,
        form: FORM,
        batches,
        generations: Default::default(),
        crashes: vec![None; FORM.replicas],
        waits: TENANTS.map(|_| Wait::Seconds(1)),
        gives_up: false,
        first,
        actions,
    }
}

/// Draws a batch: three of five are those of the busy tenant.
fn batch(rng: &mut Rng, number: usize) -> Batch {
    let tenant = [TENANTS[BUSY], TENANTS[1], TENANTS[BUSY], TENANTS[2], TENANTS[BUSY]][number % 5];
    Batch { tenant, number, cases: rng.usize(1..8), refused: None, folder: &[], own: None }
}

/// Draws a fault. Only the busy tenant's account misbehaves, so that the quiet ones show what the workers do to them; and
/// each worker is killed once at most, as a message in hand at two unclean ends in a row is set apart.
fn fault(rng: &mut Rng, killed: &mut BTreeSet<usize>) -> Option<Action> {
    match trouble(rng, FORM) {
        Action::Kill { worker, away, .. } => killed.insert(worker).then_some(Action::Kill { worker, away, then: None }),
        Action::RevokeKey { away, .. } => Some(Action::RevokeKey { tenant: BUSY, away }),
        Action::Misbehave { on, how, times, .. } => Some(Action::Misbehave { tenant: BUSY, on, how, times }),
        other @ (Action::Pause { .. }
        | Action::CloseConnections
        | Action::RestartStore { .. }
        | Action::Cut { .. }
        | Action::Stall { .. }) => Some(other),
        Action::Publish { .. }
        | Action::PublishPoison { .. }
        | Action::Restart { .. }
        | Action::Switch { .. }
        | Action::KillBroker
        | Action::RefuseNames { .. }
        | Action::KillHolder { .. }
        | Action::Generation(_)
        | Action::Order { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_replica_is_switched_and_switched_back_under_an_even_load() {
        let load = Load { per_second: 10.0, length: 20_000 };
        for seed in 0..50 {
            let plan = round(seed, load);
            let switched = |to| {
                plan.actions
                    .iter()
                    .filter(move |(_, action)| matches!(action, Action::Switch { to: of, .. } if *of == to))
                    .count()
            };
            assert_eq!((switched(Version::Present), switched(Version::Previous)), (3, 3));
            let published = plan.actions.iter().filter(|(_, action)| matches!(action, Action::Publish { .. })).count();
            assert_eq!((published, plan.batches.len()), (200, 200 + FIRST));
            let spared = |(_, action): &(Duration, Action)| !matches!(action, Action::Misbehave { tenant, .. } | Action::RevokeKey { tenant, .. } if *tenant != BUSY);
            assert!(plan.actions.iter().all(spared));
        }
    }
}
