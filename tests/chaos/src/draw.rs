//! Draws the plan of a seed, within the assumptions on which the worker's promises rest.

use std::time::Duration;

use fastrand::Rng;

use crate::batches::Batch;
use crate::plan::{Action, Call, Crash, Form, Link, Misbehaviour, Plan, QUEUE_SETTLES, TENANTS, Wait};
use crate::{generations, orders, poison};

const POINTS: [&str; 8] = [
    "after_claim",
    "after_push",
    "after_record",
    "after_reconcile",
    "after_settle",
    "after_park",
    "after_ack",
    "after_publish",
];

/// The longest pause of a worker, and the longest stall of the connection to Testmo, in milliseconds: a longer one
/// would be a commit after the settle time, or a pause beyond the margin.
const LONGEST_PAUSE: u64 = 900;
/// The shortest time between two pauses or stalls, which would otherwise add up.
const APART: Duration = Duration::from_secs(3);

impl Plan {
    /// Draws the plan of a seed; every fourth plan kills the broker.
    pub(crate) fn of(seed: u64, form: Form) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(2).wrapping_add(u64::from(form.replicas > 1)));
        let length = if form.short { rng.u64(4_000..6_000) } else { rng.u64(8_000..30_000) };
        let batches: Vec<Batch> = {
            let count = if form.short { rng.usize(8..15) } else { rng.usize(20..60) };
            (0..count).map(|number| batch(&mut rng, number)).collect()
        };
        let mut actions = Vec::new();
        for number in 0..batches.len() {
            let at = rng.u64(..length);
            actions.push((at, Action::Publish { batch: number }));
            if rng.u8(..5) == 0 {
                actions.push((at + rng.u64(..4_000), Action::Publish { batch: number }));
            }
        }
        let troubles = if form.short { 3..6 } else { 4..12 + 2 * form.replicas };
        for _ in 0..rng.usize(troubles) {
            actions.push((rng.u64(500..length), trouble(&mut rng, form)));
        }
        if form.late {
            for _ in 0..rng.usize(1..4) {
                let how = Misbehaviour::Late { ms: rng.u64(5_000..8_000), commit_late: true };
                let tenant = rng.usize(..TENANTS.len());
                actions.push((rng.u64(..length), Action::Misbehave { tenant, on: Call::Create, how, times: 1 }));
            }
        }
        // What an unclean end meets is tried apart, so that the drain takes longer than late duplicates allow for.
        if !form.late && rng.bool() {
            for number in 0..rng.usize(1..4) {
                actions.push((
                    rng.u64(..length),
                    Action::PublishPoison { poison: poison::Poison::draw(&mut rng, number) },
                ));
            }
        }
        if seed % 4 == 3 {
            let settled = u64::try_from(QUEUE_SETTLES.as_millis()).unwrap_or(u64::MAX);
            actions.push((rng.u64(settled..length.max(settled + 1_000)), Action::KillBroker));
        }
        let timed = |(at, action)| (Duration::from_millis(at), action);
        let crashes = (0..form.replicas).map(|_| crash(&mut rng)).collect();
        let waits = TENANTS.map(|_| wait(&mut rng, form.short));
        let gives_up = !form.late && rng.bool();
        if !form.late {
            actions.extend(orders::draw(&mut rng, form, length));
        }
        let (generations, events) = if form.late { Default::default() } else { generations::draw(seed, form, length) };
        actions.sort_by_key(|(at, _)| *at);
        let mut actions = apart(actions.into_iter().map(timed).collect());
        actions.extend(events.into_iter().map(|(at, event)| (at, Action::Generation(event))));
        actions.sort_by_key(|(at, _)| *at);
        let mut plan = Self { seed, form, batches, generations, crashes, waits, gives_up, first: 0, actions };
        plan.batches.extend(poison::batches(&plan));
        plan
    }
}

fn batch(rng: &mut Rng, number: usize) -> Batch {
    let cases = if rng.u8(..10) == 0 { rng.usize(100..300) } else { rng.usize(1..30) };
    // The connection is not to blame if one case is refused among others.
    let refused = (rng.u8(..10) == 0 && (4..60).contains(&cases)).then(|| rng.usize(..cases));
    let (folder, own) = (folder(rng), (rng.u8(..3) == 0).then(|| folder(rng)));
    Batch { tenant: TENANTS[rng.usize(..TENANTS.len())], number, cases, refused, folder, own }
}

fn folder(rng: &mut Rng) -> &'static [&'static str] {
    match rng.u8(..6) {
        0 => &["Checkout"],
        1 => &["Checkout", "Payment"],
        _ => &[],
    }
}

pub(crate) fn trouble(rng: &mut Rng, form: Form) -> Action {
    let worker = rng.usize(..form.replicas);
    let link = match rng.u8(..if form.replicas > 1 { 3 } else { 2 }) {
        0 => Link::Broker,
        1 => Link::Testmo,
        _ => Link::Store,
    };
    match rng.u8(..if form.replicas > 1 { 18 } else { 16 }) {
        0..=3 => Action::Kill { worker, away: ms(rng, 0..2_000), then: crash(rng) },
        4 => Action::Restart { worker, then: crash(rng) },
        5 => Action::Pause { worker, away: ms(rng, 50..LONGEST_PAUSE) },
        6 => Action::CloseConnections,
        7 => Action::Cut { link, away: ms(rng, 0..1_500) },
        8 | 9 => {
            let longest = if link == Link::Testmo { LONGEST_PAUSE } else { 4_000 };
            Action::Stall { link, away: ms(rng, 100..longest) }
        }
        10 => Action::RevokeKey { tenant: rng.usize(..TENANTS.len()), away: ms(rng, 200..2_500) },
        11..=15 => {
            let tenant = rng.usize(..TENANTS.len());
            let on = match rng.u8(..10) {
                0 | 1 => Call::Reconcile,
                2 => Call::NewFolder,
                3 => Call::ListFolders,
                _ => Call::Create,
            };
            Action::Misbehave { tenant, on, how: misbehaviour(rng), times: rng.u32(1..4) }
        }
        _ => Action::RestartStore { cleanly: rng.bool() },
    }
}

fn crash(rng: &mut Rng) -> Option<Crash> {
    let crash = Crash { point: POINTS[rng.usize(..POINTS.len())], passing: rng.u32(1..8) };
    // A worker that is not built for tests does not know this order.
    (rng.bool() && cfg!(debug_assertions)).then_some(crash)
}

fn wait(rng: &mut Rng, short: bool) -> Wait {
    match rng.u8(..12) {
        0 if !short => Wait::Untold,
        0..=4 => Wait::Date(rng.u64(2..4)),
        _ => Wait::Seconds(rng.u64(1..4)),
    }
}

pub(crate) fn misbehaviour(rng: &mut Rng) -> Misbehaviour {
    match rng.u8(..10) {
        0 | 1 => Misbehaviour::Error { status: [500, 502, 503, 504][rng.usize(..4)], after_commit: rng.bool() },
        2 | 3 => Misbehaviour::Throttle,
        4 | 5 => Misbehaviour::Late { ms: rng.u64(800..1_800), commit_late: rng.bool() },
        6 => Misbehaviour::CutBefore,
        7 => Misbehaviour::CutAfter,
        8 => Misbehaviour::HalfAnswer,
        _ => [Misbehaviour::Garbage, Misbehaviour::DropLast][rng.usize(..2)],
    }
}

fn ms(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

/// Removes pauses and stalls that would add up with an earlier one.
pub(crate) fn apart(mut actions: Vec<(Duration, Action)>) -> Vec<(Duration, Action)> {
    let mut last: Option<Duration> = None;
    actions.retain(|(at, action)| {
        if !matches!(action, Action::Pause { .. } | Action::Stall { link: Link::Testmo, .. }) {
            return true;
        }
        let follows_late_enough = last.is_none_or(|last| *at >= last + APART);
        if follows_late_enough {
            last = Some(*at);
        }
        follows_late_enough
    });
    actions
}
