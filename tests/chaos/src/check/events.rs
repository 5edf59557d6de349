//! Checks that each batch has one outcome per revision, reported at least once, in equal copies, and with true ids.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cases::There;
use crate::batches::Batch;
use crate::drain::{Drained, Heard, is_terminal, revision};
use crate::plan::Plan;
use crate::replays::Replays;

pub(super) fn check(plan: &Plan, there: &There, drained: &Drained, replays: &Replays) -> Vec<String> {
    let heard = &drained.heard;
    let mut broken = copies_that_differ(heard);
    for batch in &plan.batches {
        let about = heard.get(&batch.subject()).map_or(&[][..], Vec::as_slice);
        let mut told: Vec<&Value> = about.iter().filter(|event| is_terminal(event)).collect();
        told.sort_by_key(|event| revision(event));
        let is_given_up = drained.given_up.contains(&batch.subject());
        let mut broken_here = of_batch(batch, &told, is_given_up);
        if !plan.form.late && !is_given_up && replays.starts(&batch.subject()).is_empty() {
            broken_here.extend(untrue_ids(batch, there, &told));
        }
        broken.extend(broken_here.into_iter().map(|what| format!("{}: {what}", batch.subject())));
    }
    broken
}

fn copies_that_differ(heard: &Heard) -> Vec<String> {
    let mut first: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut broken = Vec::new();
    for event in heard.values().flatten() {
        let id = event["id"].as_str().unwrap_or_default();
        if *first.entry(id).or_insert(event) != event {
            broken.push(format!("copies of event {id} about {} differ", event["subject"]));
        }
    }
    broken
}

fn of_batch(batch: &Batch, told: &[&Value], is_given_up: bool) -> Vec<String> {
    let mut broken = Vec::new();
    let Some(last) = told.last() else { return vec!["no event tells how it ended".into()] };
    let mut ids: BTreeMap<u64, &Value> = BTreeMap::new();
    for event in told {
        let revision = revision(event);
        if *ids.entry(revision).or_insert(&event["id"]) != &event["id"] {
            broken.push(format!("revision {revision} has several outcomes"));
        }
    }
    if !is_given_up && last["data"]["outcome"] != batch.outcome() {
        broken.push(format!("told as {}, not as {}", last["data"]["outcome"], batch.outcome()));
    }
    broken
}

/// Compares the ids in the last outcome with Testmo. Ids are reported once and not corrected: where cases were created
/// twice, the ids of either copy are true.
fn untrue_ids(batch: &Batch, there: &There, told: &[&Value]) -> Option<String> {
    let cases = told.last()?["data"]["cases"].as_array().map_or(&[][..], Vec::as_slice);
    let told: Vec<Option<u64>> = cases.iter().map(|case| case["testmo_id"].as_u64()).collect();
    let mut wanted = vec![None; batch.cases];
    for (at, row) in batch.arriving().zip(there.of_batch(batch)) {
        wanted[at] = Some(row.id);
    }
    let untrue = told.iter().zip(&wanted).position(|(told, wanted)| told != wanted);
    match untrue {
        Some(at) => Some(format!("case {at} was told as {:?}, and is {:?} in Testmo", told[at], wanted[at])),
        None => (told.len() != wanted.len()).then(|| format!("{} of {} cases were told of", told.len(), wanted.len())),
    }
}
