//! Checks that each duplicate is reported by an event, in plans in which Testmo commits after the settle time.

use serde_json::Value;

use super::arrived::{Arrived, arrived};
use super::cases::There;
use crate::batches::Batch;
use crate::drain::Heard;
use crate::plan::Plan;
use crate::stage::Stage;

/// The type of the event that reports cases that are in Testmo twice.
const DUPLICATED: &str = "com.sqai-suite.testmo.case.duplicated.v1";

/// Returns the violations in the cases of a plan, except duplicates that were reported.
pub(crate) fn check(plan: &Plan, stage: &Stage, heard: &Heard) -> anyhow::Result<Vec<String>> {
    let there = There::of(stage);
    let mut broken = Vec::new();
    for batch in &plan.batches {
        let about = heard.get(&batch.subject()).map_or(&[][..], Vec::as_slice);
        broken.extend(of_batch(batch, &there, about)?.into_iter().map(|what| format!("{}: {what}", batch.subject())));
    }
    Ok(broken)
}

fn of_batch(batch: &Batch, there: &There, about: &[Value]) -> anyhow::Result<Vec<String>> {
    let Arrived { mut broken, arrived, mut surplus } = arrived(batch, there, about)?;
    let duplicated = about.iter().filter(|event| event["type"] == DUPLICATED);
    for named in duplicated.flat_map(|event| event["data"]["cases"].as_array().into_iter().flatten()) {
        let (Some(first), Some(again)) = (named["testmo_id"].as_u64(), named["duplicate_id"].as_u64()) else {
            continue;
        };
        match surplus.remove(&again) {
            Some(found) if arrived.get(&first) == Some(&found) => {}
            other => broken.push(format!("{again} was told to be {first} once more, and is {other:?}")),
        }
    }
    broken.extend(surplus.keys().map(|id| format!("{id} is there once more, and nobody tells of it")));
    Ok(broken)
}
