//! Checks that no case is there twice, that no edit is lost that could be seen, and that each case has what its last generation
//! gave it.

use std::collections::BTreeMap;

use serde_json::Value;
use testmo_courier::batch::ledger::{BatchState, CaseState, Change};
use testmo_sim::model::Case;

use super::draw::{Generation, GenerationPlan, name, prefix};
use super::edits::{Edited, Edits, prefix_of};
use crate::plan::ACCOUNTS;
use crate::stage::Stage;

/// Returns every violation.
pub(super) fn check(stage: &Stage, drawn: &GenerationPlan, edits: &Edits) -> Vec<String> {
    let mut check = Check { stage, drawn, edits, rows: rows(stage), broken: Vec::new() };
    check.once();
    check.edits_stay();
    for source in 0..drawn.generations.len() {
        let of_source = drawn.generations.iter().filter(|generation| generation.source == source);
        if let Some(last) = of_source.max_by_key(|generation| generation.number) {
            check.is_up_to_date(last);
        }
    }
    let shelved = stage.store.at_once(|tables, _| {
        tables
            .shelf
            .values()
            .map(|row| format!("{:?} is on the shelf: {:?}", row.content.identity, row.content.reason))
            .collect::<Vec<_>>()
    });
    check.broken.extend(shelved);
    check.broken
}

struct Check<'a> {
    stage: &'a Stage,
    drawn: &'a GenerationPlan,
    edits: &'a Edits,
    /// Every case, by account and id.
    rows: BTreeMap<(String, u64), Case>,
    broken: Vec<String>,
}

fn rows(stage: &Stage) -> BTreeMap<(String, u64), Case> {
    stage.testmo.world(|world| {
        let of = |account: &&'static str| {
            let cases: Vec<Case> =
                world.station(account).map(|s| s.account.cases.iter().cloned().collect()).unwrap_or_default();
            let account = (*account).to_owned();
            cases.into_iter().map(move |case| ((account.clone(), case.id), case))
        };
        ACCOUNTS.iter().flat_map(of).collect()
    })
}

impl Check<'_> {
    /// No case is there twice, and none that a person has deleted comes back.
    fn once(&mut self) {
        let mut there: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        for ((account, id), row) in &self.rows {
            there.entry((account.clone(), prefix_of(&row.name).to_owned())).or_default().push(*id);
        }
        for (case, ids) in there {
            if ids.len() > 1 {
                self.broken.push(format!("{case:?} is there as {ids:?}"));
            }
            if self.edits.deleted.contains(&case) {
                self.broken.push(format!("{case:?} was deleted and is there as {ids:?}"));
            }
        }
    }

    /// What a person has edited stays, unless the request that changed it came of a read before the edit.
    fn edits_stay(&mut self) {
        let sent = self.stage.testmo.sent_changes();
        for ((account, id), columns) in &self.edits.kept {
            let row = self.rows.get(&(account.clone(), *id));
            for (column, Edited { value, at }) in columns {
                if row.is_some_and(|row| shown(row, column) == *value) {
                    continue;
                }
                let is_excused = sent.iter().any(|change| {
                    change.account == *account
                        && change.id == *id
                        && change.changes(column)
                        && change.read_at.is_none_or(|read_at| read_at <= *at)
                });
                if !is_excused {
                    let now = row.map(|row| shown(row, column));
                    self.broken.push(format!("{column} of {id} in {account} was {value} since {at}, and is {now:?}"));
                }
            }
        }
    }

    /// Each case of the last generation of a source has what that gave it, unless a person has touched it.
    fn is_up_to_date(&mut self, last: &Generation) {
        let key = self.drawn.key_of(last);
        let Some(record) = self.stage.store.at_once(|tables, _| tables.batch(&key)).map(|stored| stored.record) else {
            self.broken.push(format!("{key} is not known"));
            return;
        };
        if record.state != BatchState::Delivered {
            self.broken.push(format!("{key} is {}", record.state.name()));
            return;
        }
        let account = self.drawn.plan.tenants[self.drawn.tenant_of(last.source)].account;
        for ((case, version), entry) in last.cases.iter().zip(&record.cases) {
            let prefix = prefix(last.source, *case);
            let found = self.rows.iter().find(|((of, _), row)| of == account && prefix_of(&row.name) == prefix);
            let touched = found.and_then(|(key, _)| self.edits.kept.get(key));
            if self.edits.deleted.contains(&(account.to_owned(), prefix.clone())) {
                continue;
            }
            let Some((_, row)) = found else {
                self.broken.push(format!("{prefix}of {key} is not there: {:?}", entry.state));
                continue;
            };
            let is_written = match &entry.state {
                CaseState::Created(_) | CaseState::Adopted(_) => true,
                CaseState::Repeated(repeat) => matches!(repeat.change, Change::Updated | Change::Unchanged),
                CaseState::Waiting | CaseState::Claimed | CaseState::Refused(_) | CaseState::Lost => false,
            };
            let is_renamed = touched.is_some_and(|columns| columns.contains_key("name"));
            if !is_written && touched.is_none() {
                self.broken.push(format!("{prefix}of {key} is {:?}, and nobody has touched it", entry.state));
            }
            if is_written && !is_renamed && row.name != name(last.source, *case, *version) {
                self.broken.push(format!("{prefix}of {key} is {:?}, and not version {version}", row.name));
            }
        }
    }
}

/// Returns what Testmo shows in a column.
fn shown(row: &Case, column: &str) -> Value {
    match column {
        "name" => row.name.clone().into(),
        "folder_id" => row.folder_id.into(),
        column => row.custom.get(column).cloned().unwrap_or_default(),
    }
}
