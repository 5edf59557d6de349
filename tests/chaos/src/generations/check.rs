//! Checks that no case is there twice, that no edit is lost that could be seen, that each case has what its last generation
//! gave it, and that nothing is left of what was taken back but what people have touched.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testmo_courier::batch::ledger::{CaseState, Change};
use testmo_sim::Method;
use testmo_sim::world::{CaseView, RequestRecord};

use super::edits::Kept;
use super::{DEPRECATED, Generation, Generations, SOURCES, name, prefix, prefix_of};
use crate::drain::Drained;
use crate::stage::Stage;

/// How long after an edit a request may arrive that came of a read before it: what a worker allows for, its time limit, and
/// the longest pause or stall, in milliseconds.
const UNSEEN_MS: i64 = 2_000 + 1_000 + 1_000;

pub(crate) async fn check(generations: &Generations, stage: &Stage, drained: &Drained) -> anyhow::Result<Vec<String>> {
    let account = stage.testmo.account(SOURCES);
    let kept = stage.edits.kept();
    let cases: BTreeMap<u64, CaseView> = account.cases().into_iter().map(|case| (case.id, case)).collect();
    let mut broken = twice(generations, &cases, &kept);
    broken.extend(lost_edits(&cases, &kept, &account.requests()));
    let sources: BTreeSet<usize> = generations.all.iter().map(|generation| generation.source).collect();
    for source in sources {
        let of_source = || generations.all.iter().filter(|generation| generation.source == source);
        let subject = |generation: &Generation| format!("{SOURCES}/{}", generation.id());
        if of_source().any(|generation| drained.given_up.contains(&subject(generation))) {
            continue;
        }
        if generations.taken_back_early {
            // What a later generation had when its batch was taken back is left.
            continue;
        }
        if generations.taken_back.is_some() {
            broken.extend(remnants(source, &cases, &kept));
        } else if let Some(last) = of_source().next_back() {
            broken.extend(outdated(last, stage, &cases, &kept).await?);
        }
    }
    Ok(broken)
}

fn twice(generations: &Generations, cases: &BTreeMap<u64, CaseView>, kept: &Kept) -> Vec<String> {
    let mut there: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    // What is taken back is not known any more, and created again by the next generation.
    let counts = |case: &&CaseView| !generations.taken_back_early || case.state_id != DEPRECATED;
    for case in cases.values().filter(counts) {
        there.entry(prefix_of(&case.name)).or_default().push(case.id);
    }
    let mut broken = Vec::new();
    for (case, ids) in there {
        if ids.len() > 1 {
            broken.push(format!("{case:?} is there as {ids:?}"));
        }
        if kept.deleted.contains(case) && !generations.taken_back_early {
            broken.push(format!("{case:?} was deleted and is there as {ids:?}"));
        }
    }
    broken
}

fn lost_edits(cases: &BTreeMap<u64, CaseView>, kept: &Kept, requests: &[RequestRecord]) -> Vec<String> {
    let mut broken = Vec::new();
    for (id, columns) in &kept.columns {
        for (column, (value, at)) in columns {
            let now = cases.get(id).map(|case| shown(case, column));
            let is_excused = |request: &RequestRecord| {
                let changes = match request.method {
                    Method::Patch => request.columns.iter().any(|changed| changed == column),
                    Method::Delete => true,
                    Method::Get | Method::Post | Method::Put | Method::Other => false,
                };
                changes && request.ids.contains(id) && (*at..*at + UNSEEN_MS).contains(&request.received_at.0)
            };
            if now.as_ref() != Some(value) && !requests.iter().any(is_excused) {
                broken.push(format!("{column} of {id} was {value} since {at}, and is {now:?}"));
            }
        }
    }
    broken
}

fn remnants(source: usize, cases: &BTreeMap<u64, CaseView>, kept: &Kept) -> Vec<String> {
    let is_left = |case: &&CaseView| {
        let is_of_source = case.name.starts_with(&format!("s{source} "));
        is_of_source && case.state_id != DEPRECATED && !kept.columns.contains_key(&case.id)
    };
    cases.values().filter(is_left).map(|case| format!("{:?} is left as {}", case.name, case.id)).collect()
}

async fn outdated(
    last: &Generation,
    stage: &Stage,
    cases: &BTreeMap<u64, CaseView>,
    kept: &Kept,
) -> anyhow::Result<Vec<String>> {
    let key = last.key()?;
    let Some(stored) = stage.store.batch(&key).await? else { return Ok(vec![format!("{key} is not known")]) };
    if stored.record.state.name() != "delivered" {
        return Ok(vec![format!("{key} is {}", stored.record.state.name())]);
    }
    let mut broken = Vec::new();
    for ((case, version), entry) in last.cases.iter().zip(&stored.record.cases) {
        let prefix = prefix(last.source, *case);
        if kept.deleted.contains(&prefix) {
            continue;
        }
        let Some(found) = cases.values().find(|case| prefix_of(&case.name) == prefix) else {
            broken.push(format!("{prefix}of {key} is not there: {:?}", entry.state));
            continue;
        };
        let touched = kept.columns.get(&found.id);
        let is_written = match &entry.state {
            CaseState::Created(_) | CaseState::Adopted(_) => true,
            CaseState::Repeated(repeat) => matches!(repeat.change, Change::Updated | Change::Unchanged),
            CaseState::Waiting | CaseState::Claimed | CaseState::Refused(_) | CaseState::Lost => false,
        };
        let is_renamed = touched.is_some_and(|columns| columns.contains_key("name"));
        if !is_written && touched.is_none() {
            broken.push(format!("{prefix}of {key} is {:?}, and nobody has touched it", entry.state));
        }
        if is_written && !is_renamed && found.name != name(last.source, *case, *version) {
            broken.push(format!("{prefix}of {key} is {:?}, and not version {version}", found.name));
        }
    }
    Ok(broken)
}

/// Returns what Testmo shows in a column.
fn shown(case: &CaseView, column: &str) -> Value {
    match column {
        "name" => case.name.clone().into(),
        "folder_id" => case.folder_id.into(),
        column => case.custom.get(column).cloned().unwrap_or_default(),
    }
}
