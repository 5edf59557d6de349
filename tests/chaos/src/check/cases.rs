//! Checks that each valid case is in Testmo exactly once, in its folder, with its content, in order, and that no other
//! case is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use testmo_sim::world::CaseView;

use super::arrived::arrived;
use crate::batches::{Batch, Row};
use crate::drain::Drained;
use crate::plan::{Plan, TENANTS};
use crate::replays::Replays;
use crate::stage::Stage;

/// How many cases of a batch a message names at most.
const NAMED: usize = 5;

/// The cases of the accounts, by tenant and batch, in order of ids, and their folders.
pub(super) struct There {
    cases: BTreeMap<(String, String), Vec<CaseView>>,
    folders: Vec<(&'static str, Vec<String>)>,
}

impl There {
    pub(super) fn of(stage: &Stage) -> Self {
        let (mut cases, mut folders) = (BTreeMap::<_, Vec<CaseView>>::new(), Vec::new());
        for tenant in TENANTS {
            let account = stage.testmo.account(tenant);
            for case in account.cases() {
                let batch = case.name.split(' ').next().unwrap_or_default().to_owned();
                cases.entry((tenant.to_owned(), batch)).or_default().push(case);
            }
            let paths = account.view().projects.into_iter().flat_map(|project| project.folders);
            folders.push((tenant, paths.map(|folder| folder.path).collect()));
        }
        Self { cases, folders }
    }

    /// Returns the cases of a batch, in order of ids.
    pub(super) fn of_batch(&self, batch: &Batch) -> &[CaseView] {
        self.cases.get(&(batch.tenant.to_owned(), batch.id())).map_or(&[], Vec::as_slice)
    }
}

pub(super) fn check(plan: &Plan, there: &There, drained: &Drained, replays: &Replays) -> anyhow::Result<Vec<String>> {
    let mut broken = Vec::new();
    let mut known = BTreeSet::new();
    for batch in &plan.batches {
        known.insert((batch.tenant.to_owned(), batch.id()));
        let subject = batch.subject();
        let (found, wanted) = (there.of_batch(batch).iter().map(row).collect::<Vec<Row>>(), batch.rows()?);
        if drained.given_up.contains(&subject) {
            broken.extend(surplus(&wanted, &found).map(|name| format!("{subject}: {name:?} is there too often")));
        } else if replays.starts(&subject).is_empty() {
            broken.extend((found != wanted).then(|| format!("{subject}: {}", difference(&wanted, &found))));
        } else {
            // What is sent in several parts may arrive in another order.
            let about = drained.heard.get(&subject).map_or(&[][..], Vec::as_slice);
            broken.extend(
                arrived(batch, there, about)?.all_broken().into_iter().map(|what| format!("{subject}: {what}")),
            );
        }
    }
    let strangers = there.cases.keys().filter(|key| !known.contains(*key));
    broken.extend(strangers.map(|(tenant, batch)| format!("{tenant}: cases of {batch}, which was never published")));
    for (tenant, paths) in &there.folders {
        let distinct: BTreeSet<&String> = paths.iter().collect();
        if distinct.len() != paths.len() {
            broken.push(format!("{tenant}: a folder was created twice: {paths:?}"));
        }
    }
    Ok(broken)
}

/// Returns the parts of a case that are compared.
pub(super) fn row(case: &CaseView) -> Row {
    let texts = |step: &Value| json!([step["text1"], step["text3"]]);
    let steps = case.custom.get("custom_steps").and_then(Value::as_array);
    Row {
        name: case.name.clone(),
        folder: case.folder.clone(),
        tags: case.tags.clone(),
        steps: steps.into_iter().flatten().map(texts).collect(),
    }
}

/// Returns the names of cases that are there and not wanted, or more often than wanted.
fn surplus<'a>(wanted: &[Row], found: &'a [Row]) -> impl Iterator<Item = &'a str> {
    let mut left = wanted.to_vec();
    let is_surplus = move |row: &&Row| match left.iter().position(|wanted| wanted == *row) {
        Some(at) => {
            left.swap_remove(at);
            false
        }
        None => true,
    };
    found.iter().filter(is_surplus).map(|row| row.name.as_str())
}

fn difference(wanted: &[Row], found: &[Row]) -> String {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for row in wanted {
        *counts.entry(&row.name).or_default() += 1;
    }
    for row in found {
        *counts.entry(&row.name).or_default() -= 1;
    }
    let named = |wanted: fn(i64) -> bool| -> Vec<&str> {
        counts.iter().filter(|(_, count)| wanted(**count)).map(|(name, _)| *name).take(NAMED).collect()
    };
    let (lost, twice) = (named(|count| count > 0), named(|count| count < 0));
    if lost.is_empty() && twice.is_empty() {
        let first = wanted.iter().zip(found).find(|(wanted, found)| wanted != found);
        return format!("in another order, or otherwise than was sent: {first:?}");
    }
    format!("{} of {} cases; lost {lost:?}; too many {twice:?}", found.len(), wanted.len())
}
