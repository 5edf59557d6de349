//! Checks that the audit has one entry for each accepted action of a person, and for each entry that a replay started.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::diary;
use crate::replays::{Replay, Replays, subject_of};
use crate::stage::Stage;

pub(super) async fn check(stage: &Stage, replays: &Replays) -> anyhow::Result<Vec<String>> {
    let [person, ..] = &stage.persons;
    let page = person.read(&["audit", "--limit", "0"]).await?;
    let mut entries: Vec<Value> = page["entries"].as_array().cloned().unwrap_or_default();
    entries.sort_by_key(|entry| entry["id"].as_i64());
    let mut broken = answered(stage, &entries);
    broken.extend(replays.0.iter().filter_map(|replay| path(replay, &entries)));
    broken.extend(started(replays, &entries));
    Ok(broken)
}

/// Returns the actions that were answered as stored and are not kept so often.
fn answered(stage: &Stage, entries: &[Value]) -> Vec<String> {
    let answers = stage.diary.answers();
    let mut kept: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry["face"] != "worker") {
        let word = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        *kept.entry((word("actor"), word("action"), word("subject"))).or_default() += 1;
    }
    let mut broken = Vec::new();
    for ((person, action, subject), stored) in &answers.stored {
        let found = kept.remove(&((*person).into(), (*action).into(), subject.clone())).unwrap_or_default();
        let unknown = answers.unknown.get(&(*person, *action)).copied().unwrap_or_default();
        if !(*stored..=stored + unknown).contains(&found) {
            broken.push(format!("{person} did {action} of {subject} {stored} times, and the audit has {found}"));
        }
    }
    // What is left was never answered as stored: it may be there only if an answer was lost. How a plan ends is known from
    // its replay.
    for ((person, action, subject), found) in kept.iter().filter(|((_, action, _), _)| action != "replay.plan") {
        let unknown = answers.unknown.iter().find(|((who, what), _)| who == person && what == action);
        if action.starts_with("connection.")
            || action.starts_with("batch.")
            || unknown.is_some_and(|(_, unknown)| found <= unknown)
        {
            continue;
        }
        broken.push(format!("the audit has {found} of {action} of {subject} by {person}, who did not do it"));
    }
    broken
}

/// Checks that the entries about a replay lead from its plan to its state.
fn path(replay: &Replay, entries: &[Value]) -> Option<String> {
    let subject = format!("replay {}", replay.row.id);
    let actions: Vec<&str> = entries
        .iter()
        .filter(|entry| entry["subject"] == *subject)
        .filter_map(|entry| entry["action"].as_str())
        .collect();
    let mut state = "";
    for action in &actions {
        state = match (state, *action) {
            ("", "replay.plan") => "planned",
            ("planned", "replay.start") | ("paused", "replay.resume") => "running",
            ("running", "replay.pause") => "paused",
            ("running", "replay.end") => "done",
            ("planned" | "running" | "paused", "replay.cancel") => "cancelled",
            _ => "impossible",
        };
    }
    let is_there = replay.row.state.is_some_and(|stored| stored.name() == state);
    (!is_there).then(|| format!("{subject} is {:?} after {actions:?}", replay.row.state))
}

/// Returns the batches that a replay started and the audit does not name so often, or the other way round.
fn started(replays: &Replays, entries: &[Value]) -> Vec<String> {
    let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
    for replay in &replays.0 {
        for item in replay.items.iter().filter(|item| item.started_at.is_some()) {
            *counts.entry((format!("replay {}", replay.row.id), subject_of(item))).or_default() += 1;
        }
    }
    for entry in entries.iter().filter(|entry| entry["action"] == "shelf.replay") {
        let replay = entry["because"].as_str().unwrap_or("?").to_owned();
        *counts.entry((replay, diary::subject_of(entry))).or_default() -= 1;
    }
    let wrong = counts.into_iter().filter(|(_, count)| *count != 0);
    wrong
        .map(|((replay, subject), count)| format!("{subject} in {replay}: started {count} times more than kept"))
        .collect()
}
