//! Checks that no case is there twice, that no edit is lost that could be seen, and that each case has what its last generation
//! gave it.

use std::collections::BTreeMap;

use serde_json::Value;
use testmo_courier::batch::ledger::{BatchState, CaseState, Change};
use testmo_sim::model::Case;

use super::draw::{Generation, GenerationPlan, name, prefix};
use super::edits::{Edited, Edits, is_generated, prefix_of, text_of};
use super::overwritten::{Reported, reported, unfounded};
use super::turns::{FOREIGN, foreign, waits};
use crate::plan::ACCOUNTS;
use crate::stage::{DEPRECATED, Stage};
use crate::store::tables::is_of;
use crate::testmo::{SentChange, host_of};

/// Returns every violation.
pub(super) fn check(
    stage: &Stage,
    drawn: &GenerationPlan,
    edits: &Edits,
    restarts: &BTreeMap<&'static str, i64>,
) -> Vec<String> {
    let reported = reported(stage);
    let mut check = Check { stage, drawn, edits, rows: rows(stage), reported, broken: Vec::new() };
    check.broken.extend(unfounded(&check.reported, edits));
    check.once();
    check.edits_stay();
    check.others_stay(restarts);
    for source in 0..drawn.generations.len() {
        let of_source = drawn.generations.iter().filter(|generation| generation.source == source);
        match of_source.max_by_key(|generation| generation.number) {
            // What a later generation had when its batch was taken back is left.
            Some(_) if drawn.is_taken_back_early() => {}
            Some(last) if drawn.taken_back.is_some() => check.is_taken_back(last.source),
            Some(last) => check.is_up_to_date(last),
            None => {}
        }
    }
    let shelved = stage.store.at_once(|tables, _| {
        tables
            .shelf
            .values()
            .filter(|row| !waits(tables, row))
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
    /// What was reported as overwritten.
    reported: Vec<Reported>,
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
        // What is taken back is not known any more, and created again by the next generation.
        let is_taken_back = |row: &Case| self.drawn.is_taken_back_early() && row.state_id == DEPRECATED;
        for ((account, id), row) in self.rows.iter().filter(|(_, row)| is_generated(&row.name) && !is_taken_back(row)) {
            there.entry((account.clone(), prefix_of(&row.name).to_owned())).or_default().push(*id);
        }
        for (case, ids) in there {
            if ids.len() > 1 {
                self.broken.push(format!("{case:?} is there as {ids:?}"));
            }
            // What was deleted and then taken back together with its source is new in a later generation.
            if self.edits.deleted.contains(&case) && !self.drawn.is_taken_back_early() {
                self.broken.push(format!("{case:?} was deleted and is there as {ids:?}"));
            }
        }
    }

    /// What a person has edited stays, unless the request that changed it came of a read before the edit. That is reported where
    /// histories say what was changed.
    fn edits_stay(&mut self) {
        let sent = self.stage.testmo.sent_changes();
        let stays = |(account, _): &&(String, u64)| !self.drawn.starts_again(account);
        for (key, columns) in self.edits.kept.iter().filter(|(key, _)| stays(key)) {
            let (account, id) = key;
            let row = self.rows.get(&(account.clone(), *id));
            for (column, Edited { value, at }) in columns {
                if row.is_some_and(|row| shown(row, column) == *value) {
                    continue;
                }
                let is_blind = |change: &&SentChange| {
                    change.account == *account
                        && change.id == *id
                        && change.changes(column)
                        && change.read_at.is_none_or(|read_at| read_at <= *at)
                };
                let blind: Vec<&SentChange> = sent.iter().filter(is_blind).collect();
                let now = row.map(|row| shown(row, column));
                if blind.is_empty() {
                    self.broken.push(format!("{column} of {id} in {account} was {value} since {at}, and is {now:?}"));
                }
                let is_readable = row.is_some() && self.drawn.has_known_history(account) && !self.drawn.moves();
                let is_known = |change: &&SentChange| change.knows_history && !change.deletes();
                let is_reported = |report: &Reported| report.is_of((account, *id), column, &text_of(value));
                let must_be_reported = is_readable && !blind.is_empty() && blind.iter().all(is_known);
                if must_be_reported && !self.reported.iter().any(is_reported) {
                    let what = format!("{column} of {id} in {account} was {value} since {at}, and is {now:?}");
                    self.broken.push(format!("{what}, and that is not reported"));
                }
            }
        }
    }

    /// What somebody else created under ids that were given before stays as it is, unless the request that changed it came of a
    /// read before that.
    fn others_stay(&mut self, restarts: &BTreeMap<&'static str, i64>) {
        let sent = self.stage.testmo.sent_changes();
        for (account, at) in restarts {
            for number in 0..FOREIGN {
                let is_excused = sent.iter().any(|change| {
                    change.account == *account
                        && change.id == number + 1
                        && change.read_at.is_none_or(|read_at| read_at <= *at)
                });
                let is_there = |((of, id), row): (&(String, u64), &Case)| {
                    of == account && *id == number + 1 && row.name == foreign(number) && row.updated_at.is_none()
                };
                if !is_excused && !self.rows.iter().any(is_there) {
                    self.broken.push(format!("{:?} in {account} was changed", foreign(number)));
                }
            }
        }
    }

    /// Nothing is left of a source whose batches were taken back, the latest first, but what people have touched.
    fn is_taken_back(&mut self, source: usize) {
        let tenant = self.drawn.tenant_of(source);
        let account = self.drawn.plan.tenants[tenant].account;
        for ((of, id), row) in &self.rows {
            let is_of_source = of == account && is_generated(&row.name) && row.name.starts_with(&format!("s{source} "));
            let is_touched = self.edits.kept.contains_key(&(of.clone(), *id));
            if is_of_source && !is_touched && row.state_id != DEPRECATED {
                self.broken.push(format!("{:?} is left as {id} in {account}", row.name));
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
            let waits = self.stage.store.at_once(|tables, _| {
                tables.shelf.values().any(|row| is_of(&row.content.identity, &key) && waits(tables, row))
            });
            if !waits {
                self.broken.push(format!("{key} is {}", record.state.name()));
            }
            return;
        }
        for ((case, version), entry) in last.cases.iter().zip(&record.cases) {
            let prefix = prefix(last.source, *case);
            let target = record.targets.get(entry.target).map(|target| target.account.as_str());
            let account = target.map_or(self.drawn.plan.tenants[self.drawn.tenant_of(last.source)].account, host_of);
            if self.drawn.starts_again(account) {
                continue;
            }
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
            // What a request still does in the former account is not found out any more: back there, it counts as an edit.
            let may_be_unknown = self.drawn.comes_back(self.drawn.tenant_of(last.source));
            if !is_written && touched.is_none() && !may_be_unknown {
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
