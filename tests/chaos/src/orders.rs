//! Draws what people order about replays and entries of the shelf, the failures that give them a reason to, and the ends of
//! the workers that carry their orders out.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use testmo_courier::app::replays::ReplayAction;

use crate::plan::{Action, Form, TENANTS};

/// The people who give orders.
pub(crate) const PEOPLE: [&str; 2] = ["anna", "bert"];

/// The reasons for which entries are dead whose cause may be gone.
pub(crate) const CURABLE: [&str; 5] =
    ["case_refused", "all_refused", "retries_exhausted", "crash_loop", "unreadable_headers"];

/// What a person orders. A number picks one of what there is at that time.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Plan a replay, and start it or leave it planned.
    Replay { selection: Selection, options: Options },
    /// Replay one dead entry.
    ReplayOne { pick: usize },
    /// Change the state of a replay.
    Act { action: ReplayAction, pick: usize },
    /// Discard a dead entry.
    Discard { pick: usize },
    /// Put a discarded entry back onto the shelf.
    Restore { pick: usize },
}

/// What is selected from the shelf.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection {
    All,
    Dead,
    Tenant(usize),
    Reason(&'static str),
    /// One of the groups of failures.
    Group(usize),
    /// What was shelved in the last seconds.
    Since(u64),
}

/// How a replay goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) rate: Option<u32>,
    pub(crate) limit: Option<u32>,
    pub(crate) unchanged: bool,
    pub(crate) only_plan: bool,
}

/// Draws orders with their times in milliseconds, times in which an account refuses every name, and ends of workers.
pub(crate) fn draw(rng: &mut Rng, form: Form, length: u64) -> Vec<(u64, Action)> {
    let (refusals, orders): (Range<usize>, Range<usize>) = if form.short { (1..3, 4..8) } else { (1..5, 8..25) };
    let mut actions = Vec::new();
    for _ in 0..rng.usize(refusals) {
        let away = Duration::from_millis(rng.u64(500..length / 3));
        let tenant = rng.usize(..TENANTS.len());
        actions.push((rng.u64(..length / 2), Action::RefuseNames { tenant, away }));
    }
    for _ in 0..rng.usize(..if form.short { 2 } else { 4 }) {
        let away = Duration::from_millis(rng.u64(..2_000));
        actions.push((rng.u64(length / 4..length), Action::KillHolder { away }));
    }
    for _ in 0..rng.usize(orders) {
        let at = rng.u64(length / 5..length);
        let (person, order) = (rng.usize(..PEOPLE.len()), order(rng));
        // The same is often done by two people at once.
        if rng.u8(..4) == 0 {
            let order = order.clone();
            actions.push((at + rng.u64(..100), Action::Order { person: 1 - person, order }));
        }
        actions.push((at, Action::Order { person, order }));
    }
    actions
}

fn order(rng: &mut Rng) -> Order {
    let pick = rng.usize(..1_000);
    match rng.u8(..20) {
        0..=6 => Order::Replay { selection: selection(rng), options: options(rng) },
        7 | 8 => Order::ReplayOne { pick },
        9 | 10 => Order::Act { action: ReplayAction::Start, pick },
        11 | 12 => Order::Act { action: ReplayAction::Pause, pick },
        13 | 14 => Order::Act { action: ReplayAction::Resume, pick },
        15 | 16 => Order::Act { action: ReplayAction::Cancel, pick },
        17 | 18 => Order::Discard { pick },
        _ => Order::Restore { pick },
    }
}

fn selection(rng: &mut Rng) -> Selection {
    match rng.u8(..8) {
        0 => Selection::All,
        1 | 2 => Selection::Dead,
        3 | 4 => Selection::Tenant(rng.usize(..TENANTS.len())),
        5 => Selection::Reason(CURABLE[rng.usize(..CURABLE.len())]),
        6 => Selection::Group(rng.usize(..1_000)),
        _ => Selection::Since(rng.u64(1..10)),
    }
}

fn options(rng: &mut Rng) -> Options {
    Options {
        rate: (rng.u8(..3) == 0).then(|| rng.u32(60..400)),
        limit: (rng.u8(..4) == 0).then(|| rng.u32(1..6)),
        unchanged: rng.u8(..4) != 0,
        only_plan: rng.u8(..4) == 0,
    }
}
