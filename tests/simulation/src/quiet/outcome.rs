//! Compares what happens in a quiet store with what the plan of the replay said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use testmo_courier::app::replays::{PlanSummary, Planned};
use testmo_courier::batch::replay::{Forecast, ItemOutcome, Window};
use testmo_courier::store::replays::{ReplayId, ReplayState};

use super::draw::{Cause, Group, QuietPlan, Trouble};
use crate::batches::{BatchPlan, CaseFate};
use crate::plan::ACCOUNTS;
use crate::stage::Stage;
use crate::store::replays::{Item, ItemState};

/// The most batches of a cause at an account that are sent although nothing was fixed.
const MOST_IN_VAIN: usize = 20;
/// What a replay may take beyond its requests: the first poll that finds it, the requests that look up a connection's folder
/// first, and one poll for an outcome that another worker stored.
const CONSTANT: Duration = Duration::from_secs(5);

/// Returns the entries of the replay with their groups and batches, in the order in which they were put onto the shelf.
fn entries(quiet: &QuietPlan) -> Vec<(&Group, &BatchPlan)> {
    quiet.groups.iter().flat_map(|group| group.batches.iter().map(move |batch| (group, batch))).collect()
}

/// Compares the plan with what is on the shelf, entry by entry and in its numbers.
pub(super) fn forecasts(stage: &Stage, quiet: &QuietPlan, planned: &Planned) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut numbers: BTreeMap<Forecast, u64> = BTreeMap::new();
    let mut cases = 0;
    let stated = items(stage, planned.id, |item| item.planned.forecast);
    let all = entries(quiet);
    if stated.len() != all.len() {
        wrong.push(format!("{} entries are planned of {}", stated.len(), all.len()));
    }
    for ((group, batch), stated) in all.iter().zip(stated) {
        let right = quiet.forecast(group);
        if stated != right {
            wrong.push(format!("{} is planned as {stated:?}, and should be {right:?}", batch.id));
        }
        *numbers.entry(right).or_default() += 1;
        if quiet.is_tried(group) {
            cases += batch.cases.len() as u64;
        }
    }
    let summary = &planned.summary;
    for forecast in Forecast::ALL {
        let right = numbers.get(&forecast).copied().unwrap_or(0);
        if summary.of(forecast) != right {
            wrong.push(format!("the plan has {} batches {forecast:?}, and should have {right}", summary.of(forecast)));
        }
    }
    let tried: usize = quiet.groups.iter().filter(|group| quiet.is_tried(group)).map(|group| group.batches.len()).sum();
    if (summary.batches, summary.tried, summary.cases) != (all.len() as u64, tried as u64, cases) {
        wrong.push(format!("the plan {summary:?} should have {} batches, try {tried} with {cases} cases", all.len()));
    }
    let open = |group: &&Group| matches!(quiet.forecast(group), Forecast::OutcomeUnknown | Forecast::NotYet);
    let indefinite: usize = quiet.groups.iter().filter(open).map(|group| group.batches.len()).sum();
    let (of, definite) = definite(summary);
    if of - definite != indefinite {
        wrong.push(format!("{} entries are indefinite, and should be {indefinite}", of - definite));
    }
    wrong
}

/// Counts what is planned, and how much of it definitely: ready, in Testmo already, or refused again.
pub(super) fn definite(summary: &PlanSummary) -> (usize, usize) {
    let count = [Forecast::Ready, Forecast::AlreadyInTestmo, Forecast::RefusedAgain].map(|of| summary.of(of));
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    (number(summary.batches), number(count.iter().sum()))
}

/// Checks how a replay ends: each entry as its cause says, and with few sent where nothing was fixed.
pub(super) fn ends(stage: &Stage, quiet: &QuietPlan, planned: &Planned, state: ReplayState) -> Vec<String> {
    let mut wrong = Vec::new();
    let all = entries(quiet);
    let ends = items(stage, planned.id, |item| (item.state, item.outcome));
    for ((group, batch), (item, outcome)) in all.iter().zip(ends) {
        if !is_right(quiet, group, item, outcome) {
            wrong.push(format!("{} of {:?} ended as {outcome:?} ({item:?})", batch.id, group.cause));
        }
    }
    let left = items(stage, planned.id, |item| item.outcome.is_none()).into_iter().filter(|is_left| *is_left).count();
    let right = if left > 0 { ReplayState::Paused } else { ReplayState::Done };
    if state != right {
        wrong.push(format!("the replay is {} with {left} entries left", state.name()));
    }
    wrong.extend(in_vain(quiet, &started(stage, planned.id), None));
    wrong
}

/// Returns whether an entry of a group may have this end.
fn is_right(quiet: &QuietPlan, group: &Group, state: ItemState, outcome: Option<ItemOutcome>) -> bool {
    use ItemOutcome::{AlreadyInTestmo, Delivered, Failed, Parked, Partial, Skipped};
    if !quiet.is_tried(group) {
        return outcome == Some(if group.cause == Cause::Delivered { AlreadyInTestmo } else { Skipped });
    }
    if quiet.is_passed_over(group) {
        return outcome == Some(Skipped);
    }
    let waits = outcome.is_none() && state == ItemState::Waiting;
    match group.cause {
        // After the first failures, the connection may be known to fail, and then nothing of its tenant is tried.
        _ if quiet.is_failing(group) => waits || matches!(outcome, Some(Failed | Parked | Skipped)),
        Cause::Refused { .. } => waits || outcome == Some(Partial),
        Cause::Outage | Cause::NoQueue | Cause::Lost => outcome == Some(Delivered),
        Cause::Delivered => outcome == Some(AlreadyInTestmo),
    }
}

/// Checks how a replay ends that was resumed after every trouble had ended.
pub(super) fn ends_again(
    stage: &Stage,
    quiet: &QuietPlan,
    id: ReplayId,
    state: ReplayState,
    before: &BTreeSet<usize>,
) -> Vec<String> {
    let mut wrong = in_vain(quiet, &started(stage, id), Some(before));
    let left = items(stage, id, |item| item.outcome.is_none());
    let is_refused = |group: &Group| matches!(group.cause, Cause::Refused { .. });
    let kept = entries(quiet).iter().zip(&left).filter(|((group, _), left)| **left && !is_refused(group)).count();
    if kept > 0 {
        wrong.push(format!("{kept} entries were not replayed although their cause is gone"));
    }
    let right = if left.contains(&true) { ReplayState::Paused } else { ReplayState::Done };
    if state != right {
        wrong.push(format!("the replay is {} after it was resumed", state.name()));
    }
    wrong
}

/// Returns the places of the entries that were started.
pub(super) fn started(stage: &Stage, id: ReplayId) -> BTreeSet<usize> {
    let is_started = |item: &Item| match item.state {
        ItemState::Waiting => false,
        ItemState::Started | ItemState::Ended => true,
        ItemState::Counted => !matches!(
            item.outcome,
            Some(ItemOutcome::Skipped | ItemOutcome::Changed | ItemOutcome::AlreadyInTestmo) | None
        ),
    };
    let places = items(stage, id, |item| (item.planned.place, is_started(item)));
    let started = places.into_iter().filter(|(_, is_started)| *is_started);
    started.map(|(place, _)| usize::try_from(place).unwrap_or(usize::MAX)).collect()
}

/// Checks that few batches were sent of each group whose cause is not gone; `before` has the places that were started before
/// every trouble ended, if it did.
fn in_vain(quiet: &QuietPlan, now: &BTreeSet<usize>, before: Option<&BTreeSet<usize>>) -> Vec<String> {
    let mut first = 0;
    let mut wrong = Vec::new();
    for group in &quiet.groups {
        let places = first..first + group.batches.len();
        first = places.end;
        let is_new = |place: &&usize| before.is_none_or(|before| !before.contains(place));
        let sent = now.range(places).filter(is_new).count();
        let is_fixed = match before {
            None => quiet.is_fixed(group),
            Some(_) => !matches!(group.cause, Cause::Refused { .. }),
        };
        if !is_fixed && sent > MOST_IN_VAIN {
            wrong.push(format!("{sent} batches of {:?} were sent in vain", group.cause));
        }
    }
    wrong
}

/// Returns how long the replay may take, if every cause is gone: 1.2 times what its requests take that one worker sends, or its
/// batches at the rate that a person set, and a constant.
pub(super) fn longest(quiet: &QuietPlan) -> Option<Duration> {
    let tried: Vec<&Group> = quiet.groups.iter().filter(|group| quiet.is_tried(group)).collect();
    let is_usual = |group: &&Group| quiet.is_fixed(group) && group.cause != Cause::Lost;
    if !tried.iter().all(is_usual) || !matches!(quiet.trouble, Trouble::None) {
        return None;
    }
    let (plan, request) = (&quiet.plan, quiet.plan.rates.request_takes?);
    let at_once = u64::from(plan.limits.account_limit).min(plan.limits.concurrency as u64);
    let of_account = |account: &&str| {
        let here = tried.iter().filter(|group| plan.tenants[group.tenant].account == *account);
        request * here.map(|group| needed(group, plan.limits.max_cases as u64, at_once)).sum::<u32>()
    };
    let at_accounts = ACCOUNTS.iter().map(of_account).max().unwrap_or_default();
    let batches: usize = tried.iter().map(|group| group.batches.len()).sum();
    let at_rate = quiet.limits.per_minute.map(|rate| Duration::from_secs(60).mul_f64(batches as f64 / f64::from(rate)));
    Some(at_accounts.max(at_rate.unwrap_or_default()).mul_f64(1.2) + CONSTANT)
}

/// Returns how many requests a group needs one after the other: the outcomes of those that may be started decide on the next
/// ones, and `at_once` requests of at most `most` cases are sent at the same time.
fn needed(group: &Group, most: u64, at_once: u64) -> u32 {
    let batches = group.batches.len() as u64;
    let cases: usize = group.batches.iter().map(|batch| batch.cases.len()).sum();
    let (mut window, mut started, mut needed) = (Window::new(batches), 0, 0);
    while started < batches {
        let round = window.allowed(0).clamp(1, batches - started);
        let requests = (cases as u64 * round).div_ceil(batches).div_ceil(most);
        needed += requests.div_ceil(at_once);
        started += round;
        for _ in 0..round {
            window.note(true);
        }
    }
    u32::try_from(needed).unwrap_or(u32::MAX)
}

/// Checks that Testmo has each case once that was delivered, none twice, and none that was not sent.
pub(super) fn in_testmo(stage: &Stage, quiet: &QuietPlan) -> Vec<String> {
    let mut there: BTreeMap<String, usize> = BTreeMap::new();
    stage.testmo.world(|world| {
        for station in ACCOUNTS.iter().filter_map(|account| world.station(account)) {
            station.case_views().into_iter().for_each(|row| *there.entry(row.name).or_default() += 1);
        }
    });
    let Some(id) = stage.store.at_once(|tables, _| tables.replays.keys().next().copied()) else { return Vec::new() };
    let ends = items(stage, id, |item| item.outcome);
    let mut wrong = Vec::new();
    for ((group, batch), outcome) in entries(quiet).iter().zip(ends) {
        for case in &batch.cases {
            let count = there.remove(&case.name).unwrap_or(0);
            let right = match outcome {
                Some(ItemOutcome::Delivered | ItemOutcome::Partial) => {
                    let is_taken = usize::from(case.fate == CaseFate::Taken);
                    is_taken..=is_taken
                }
                // It is retried automatically.
                Some(ItemOutcome::Parked | ItemOutcome::Failed) => 0..=1,
                _ => 0..=0,
            };
            if !right.contains(&count) {
                let (name, cause) = (&batch.id, group.cause);
                wrong.push(format!("a case of {name} of {cause:?} is there {count} times; it ended as {outcome:?}"));
            }
        }
    }
    wrong.extend(there.into_keys().map(|name| format!("nobody asked for {name}")));
    wrong
}

/// Reads something of each entry of a replay, in their order.
fn items<T>(stage: &Stage, id: ReplayId, read: impl Fn(&Item) -> T) -> Vec<T> {
    stage.store.at_once(|tables, _| {
        let items = tables.replays.get(&id).into_iter().flat_map(|replay| replay.items.values());
        items.map(&read).collect()
    })
}
