//! Checks that each replay has come to its end, that each of its entries is accounted for once, and that it started nothing
//! else.

use std::collections::{BTreeMap, BTreeSet};

use testmo_courier::app::replays::{Forecast, ItemOutcome};
use testmo_courier::store::replays::{ReplayItem, ReplayState};

use crate::diary::{Answers, Frozen};
use crate::replays::{Replay, Replays, subject_of};
use crate::stage::Stage;

/// Returns what is wrong with the replays, as they were answered, shown and stored.
pub(super) fn check(stage: &Stage, replays: &Replays) -> Vec<String> {
    let answers = stage.diary.answers();
    let mut broken = Vec::new();
    for replay in &replays.0 {
        let here = of_replay(replay, &answers);
        broken.extend(here.into_iter().map(|what| format!("replay {}: {what}", replay.row.id)));
    }
    let known: BTreeSet<i64> = replays.0.iter().map(|replay| replay.row.id.0).collect();
    let lost = answers.frozen.keys().filter(|id| !known.contains(*id));
    broken.extend(lost.map(|id| format!("replay {id} was planned, and is not there")));
    broken.extend(at_once(replays));
    broken
}

fn of_replay(replay: &Replay, answers: &Answers) -> Vec<String> {
    let id = replay.row.id.0;
    let mut broken = Vec::new();
    let is_done = replay.row.state == Some(ReplayState::Done);
    if !is_done && replay.row.state != Some(ReplayState::Cancelled) {
        broken.push(format!("it is {:?}", replay.row.state));
    }
    broken.extend(replay.items.iter().flat_map(|item| of_item(replay, item)));
    broken.extend(of_numbers(replay, is_done));
    let frozen = Frozen {
        entries: replay.items.iter().map(|item| (item.place, subject_of(item))).collect(),
        tried: tried(replay).map(|item| item.place).collect(),
    };
    if let Some(printed) = answers.frozen.get(&id).filter(|printed| **printed != frozen) {
        broken.push(format!("it was planned as {printed:?}, and is {frozen:?}"));
    }
    if let Some(before) = answers.cancelled.get(&id) {
        let started = replay.items.iter().filter(|item| item.started_at.is_some()).map(|item| item.place);
        let later: Vec<u64> = started.filter(|place| !before.contains(place)).collect();
        if !later.is_empty() {
            broken.push(format!("{later:?} were started after the cancellation was acknowledged"));
        }
    }
    broken
}

fn tried(replay: &Replay) -> impl Iterator<Item = &ReplayItem> {
    let is_tried = |item: &&ReplayItem| {
        item.forecast.parse().is_ok_and(|forecast: Forecast| forecast.is_tried(replay.row.unchanged_too))
    };
    replay.items.iter().filter(is_tried)
}

/// Checks the outcome of one entry.
fn of_item(replay: &Replay, item: &ReplayItem) -> Vec<String> {
    let mut broken = Vec::new();
    let outcome: Option<ItemOutcome> = item.outcome.as_deref().and_then(|outcome| outcome.parse().ok());
    let is_passed = matches!(outcome, Some(ItemOutcome::Skipped | ItemOutcome::Changed | ItemOutcome::AlreadyInTestmo));
    let is_possible = match (item.started_at, outcome) {
        (Some(_), outcome) => outcome.is_some() && outcome != Some(ItemOutcome::Skipped),
        (None, Some(_)) => is_passed,
        // What a cancelled replay has not started stays without an outcome.
        (None, None) => replay.row.state == Some(ReplayState::Cancelled) && item.state == "waiting",
    };
    let is_in_time = item.started_at.is_none_or(|at| {
        replay.row.started_at.is_some_and(|started| started <= at) && item.ended_at.is_none_or(|ended| at <= ended)
    });
    if !is_possible || !is_in_time || outcome.is_some() != item.ended_at.is_some() {
        broken.push(format!("an entry is {item:?}"));
    }
    let listed = replay.listed.iter().find(|listed| listed["place"] == item.place);
    if listed.is_none_or(|listed| listed["outcome"].as_str() != item.outcome.as_deref()) {
        broken.push(format!("place {} is {:?}, and is shown as {listed:?}", item.place, item.outcome));
    }
    broken
}

/// Checks the numbers that are shown against the entries.
fn of_numbers(replay: &Replay, is_done: bool) -> Vec<String> {
    let (shown, items) = (&replay.shown, &replay.items);
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for outcome in items.iter().filter_map(|item| item.outcome.clone()) {
        *counted.entry(outcome).or_default() += 1;
    }
    let outcomes = shown["outcomes"].as_array().into_iter().flatten();
    let named = |count: &serde_json::Value| Some((count["outcome"].as_str()?.to_owned(), count["batches"].as_u64()?));
    let printed: BTreeMap<String, u64> = outcomes.filter_map(named).collect();
    let parts = || shown["parts"].as_array().into_iter().flatten();
    let sum = |name: &str| -> u64 { parts().filter_map(|part| part[name].as_u64()).sum() };
    let waiting = items.iter().filter(|item| item.outcome.is_none()).count() as u64;
    let is_planned = shown["plan"].is_object();
    let tried = tried(replay).count() as u64;
    let expected = [
        ("outcomes", counted == printed),
        ("listed", replay.listed.len() == items.len()),
        ("plan.batches", !is_planned || shown["plan"]["batches"] == items.len()),
        ("plan.tried", !is_planned || shown["plan"]["tried"] == tried),
        ("parts.batches", sum("batches") == tried),
        ("left", shown["left"] == waiting),
        ("under_way", shown["under_way"] == 0),
        ("parts.under_way", !is_done || sum("under_way") == 0),
        ("nothing is left", !is_done || waiting == 0),
    ];
    let wrong: Vec<&str> = expected.into_iter().filter(|(_, is_right)| !is_right).map(|(what, _)| what).collect();
    if wrong.is_empty() { Vec::new() } else { vec![format!("{wrong:?} do not add up: {shown} of {items:?}")] }
}

/// Returns the batches that two replays had under way at the same time.
fn at_once(replays: &Replays) -> Vec<String> {
    let mut spans: BTreeMap<String, Vec<(i64, i64, i64)>> = BTreeMap::new();
    for replay in &replays.0 {
        for item in &replay.items {
            if let (Some(from), Some(to)) = (item.started_at, item.ended_at) {
                spans.entry(item.entry.to_string()).or_default().push((from, to, replay.row.id.0));
            }
        }
    }
    let mut broken = Vec::new();
    for (entry, mut spans) in spans {
        spans.sort_unstable();
        let overlaps = spans.windows(2).filter(|pair| pair[1].0 < pair[0].1);
        broken.extend(overlaps.map(|pair| format!("{entry} was under way in replays {} and {}", pair[0].2, pair[1].2)));
    }
    broken
}
