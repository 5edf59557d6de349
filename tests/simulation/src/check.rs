//! Checks the end of a run against Testmo's own record, with which the ledger must agree.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testmo_courier::batch::event::{DUPLICATED, settlement_id};
use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseRecord, CaseState};
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::{BatchKey, Reason, batch_tag, fingerprint, raw_hash};
use testmo_courier::store::shelf::ShelfIdentity;
use testmo_sim::world::CaseView;

use crate::batches::{BatchPlan, CaseFate, CasePlan};
use crate::plan::{ACCOUNTS, Kind, Plan};
use crate::stage::{Stage, poison};
use crate::store::tables::Tables;

/// A place for a case: account, path of the folder, name.
type Spot = (String, String, String);

/// Returns every violation.
pub(crate) fn check(stage: &Stage, plan: &Plan) -> Vec<String> {
    stage.store.at_once(|tables, _| {
        let mut check = Check { plan, tables, rows: rows(stage), late: stage.testmo.late(), broken: Vec::new() };
        let left = stage.broker.left();
        if left > 0 {
            check.broken.push(format!("{left} messages are left in the queues"));
        }
        let winners = check.winners();
        check.cases(&winners);
        check.records(&winners);
        check.shelf(&winners);
        check.folders(stage);
        check.events(stage, &winners);
        check.duplicates(stage, &winners);
        check.broken
    })
}

impl Plan {
    /// Returns the key of a batch.
    pub(crate) fn key_of(&self, batch: &BatchPlan) -> BatchKey {
        let key = format!("{}/{}", self.tenants[batch.tenant].name, batch.id);
        key.parse().expect("a key")
    }

    fn fingerprint_of(&self, batch: &BatchPlan) -> String {
        fingerprint(&decode(&batch.body(&self.tenants)).expect("a batch"))
    }
}

/// Returns every case that is in Testmo, by account and id.
fn rows(stage: &Stage) -> BTreeMap<(String, u64), CaseView> {
    stage.testmo.world(|world| {
        let of = |account: &&'static str| {
            let rows = world.station(account).map(|station| station.case_views()).unwrap_or_default();
            let account = (*account).to_owned();
            rows.into_iter().map(move |row| ((account.clone(), row.id), row))
        };
        ACCOUNTS.iter().flat_map(of).collect()
    })
}

struct Check<'a> {
    plan: &'a Plan,
    tables: &'a Tables,
    rows: BTreeMap<(String, u64), CaseView>,
    /// Cases that were created after the settle time of their request.
    late: BTreeSet<(String, u64)>,
    broken: Vec<String>,
}

/// A batch that must arrive, with its record in the ledger.
struct Winner<'a> {
    batch: &'a BatchPlan,
    key: BatchKey,
    record: &'a BatchRecord,
    /// Positions of the cases that may be `Lost`, for a person to resolve.
    lost: BTreeSet<usize>,
    /// Positions of the cases that would have been refused, and count as created by a row that was created late.
    mistaken: BTreeSet<usize>,
}

impl Winner<'_> {
    fn expected_state(&self) -> BatchState {
        match self.batch.taken().len() - self.lost.len() + self.mistaken.len() {
            0 => BatchState::Failed,
            taken if taken == self.batch.cases.len() => BatchState::Delivered,
            _ => BatchState::Partial,
        }
    }
}

impl<'a> Check<'a> {
    /// Returns the batches that must arrive. Of two batches with one id, this is the one whose fingerprint was stored
    /// first.
    fn winners(&mut self) -> Vec<Winner<'a>> {
        let mut winners = Vec::new();
        for batch in self.plan.batches.iter().filter(|batch| !batch.astray) {
            let key = self.plan.key_of(batch);
            let Some(record) = self.tables.batches.get(&key).map(|entry| &entry.stored.record) else {
                self.broken.push(format!("{key}: the ledger does not know it"));
                continue;
            };
            if record.fingerprint == self.plan.fingerprint_of(batch) {
                let (lost, mistaken) = (self.lost(batch, &key, record), self.mistaken(batch, record));
                winners.push(Winner { batch, key, record, lost, mistaken });
            }
        }
        winners
    }

    /// Returns the positions of the cases that may be `Lost`. A request cannot be distinguished from an earlier, equal
    /// one that Testmo carried out after its settle time. If reconciliation adopts a row of the earlier request, the
    /// later request counts as carried out, and its missing cases are left to a person, visibly on the shelf. This is
    /// allowed only if such a late row was adopted for the same tenant.
    fn lost(&self, batch: &BatchPlan, key: &BatchKey, record: &BatchRecord) -> BTreeSet<usize> {
        if !self.has_adopted_late(batch, key) {
            return BTreeSet::new();
        }
        let cases = record.cases.iter().zip(&batch.cases).enumerate();
        let lost =
            cases.filter(|(_, (reported, case))| reported.state == CaseState::Lost && case.fate == CaseFate::Taken);
        lost.map(|(at, _)| at).collect()
    }

    /// Returns the positions of the cases that would have been refused, had they been sent alone. Cases of one batch with
    /// the same name look the same in Testmo: a row of an earlier case that was created after the settle time may be
    /// adopted for a later one.
    fn mistaken(&self, batch: &BatchPlan, record: &BatchRecord) -> BTreeSet<usize> {
        let account = self.plan.tenants[batch.tenant].account;
        let cases = record.cases.iter().zip(&batch.cases).enumerate();
        let mistaken = cases.filter(|(at, (reported, case))| {
            let is_late =
                matches!(reported.state, CaseState::Adopted(id) if self.late.contains(&(account.to_owned(), id)));
            let has_twin = batch.cases[..*at].iter().any(|earlier| earlier.name == case.name);
            case.fate != CaseFate::Taken && is_late && has_twin
        });
        mistaken.map(|(at, _)| at).collect()
    }

    fn has_adopted_late(&self, batch: &BatchPlan, key: &BatchKey) -> bool {
        let account = self.plan.tenants[batch.tenant].account;
        let is_late = |state: &CaseState| matches!(state, CaseState::Adopted(id) if self.late.contains(&(account.to_owned(), *id)));
        let of_tenant = self.tables.batches.iter().filter(|(of, _)| of.tenant == key.tenant);
        of_tenant.flat_map(|(_, entry)| &entry.stored.record.cases).any(|case| is_late(&case.state))
    }

    /// Returns the path of the folder of a case.
    fn folder_of(&self, batch: &BatchPlan, case: &CasePlan) -> String {
        let own = if self.plan.tenants[batch.tenant].folder == 1 { "Generated" } else { "Other" };
        let path = std::iter::once(own).chain(batch.path_of(case).iter().map(String::as_str));
        path.collect::<Vec<_>>().join("/")
    }

    /// Checks that each case exists exactly once, in its folder, and that no other case exists.
    fn cases(&mut self, winners: &[Winner<'_>]) {
        let mut counts: BTreeMap<Spot, i64> = BTreeMap::new();
        for Winner { batch, lost, .. } in winners {
            let account = self.plan.tenants[batch.tenant].account.to_owned();
            let cases = batch.cases.iter().enumerate();
            for (_, case) in cases.filter(|(at, case)| case.fate == CaseFate::Taken && !lost.contains(at)) {
                let spot = (account.clone(), self.folder_of(batch, case), case.name.clone());
                *counts.entry(spot).or_default() += 1;
            }
        }
        for ((account, _), row) in &self.rows {
            *counts.entry((account.clone(), row.folder.clone(), row.name.clone())).or_default() -= 1;
        }
        for (spot, missing) in counts.into_iter().filter(|(_, missing)| *missing != 0) {
            match (missing, self.plan.kind) {
                // Only a commit after the settle time can create a duplicate; `duplicates` checks those.
                (..0, Kind::Late) => {}
                (..0, Kind::Usual | Kind::Poison | Kind::Many | Kind::Flood) => {
                    self.broken.push(format!("{spot:?}: {} too many", -missing))
                }
                (0.., _) => self.broken.push(format!("{spot:?}: {missing} lost")),
            }
        }
    }

    /// Checks that the ledger has the id of every case, in order, and no id twice.
    fn records(&mut self, winners: &[Winner<'_>]) {
        let mut known = BTreeSet::new();
        for winner in winners {
            let Winner { batch, key, record, lost, mistaken } = winner;
            let tenant = &self.plan.tenants[batch.tenant];
            let account = tenant.account.to_owned();
            let tag = tenant.batch_tag.then(|| batch_tag(key));
            let mut broken = Vec::new();
            let expected = winner.expected_state();
            if record.state != expected {
                broken.push(format!("is {}, not {}", record.state.name(), expected.name()));
            }
            if record.open_push.is_some() || record.unclear_since.is_some() {
                broken.push("has an open push or a doubt".to_owned());
            }
            let mut last = 0;
            for (at, (case, reported)) in batch.cases.iter().zip(&record.cases).enumerate() {
                let id = match (&reported.state, case.fate) {
                    (CaseState::Created(id) | CaseState::Adopted(id), CaseFate::Taken) => *id,
                    (CaseState::Adopted(id), _) if mistaken.contains(&at) => *id,
                    (CaseState::Refused(_), CaseFate::Refused | CaseFate::TooLarge) => continue,
                    (CaseState::Lost, CaseFate::Taken) if lost.contains(&at) => continue,
                    // Its request would have been refused if it had not counted as carried out.
                    (CaseState::Lost, CaseFate::Refused | CaseFate::TooLarge) if self.has_adopted_late(batch, key) => {
                        continue;
                    }
                    (state, fate) => {
                        broken.push(format!("case {} is {state:?}, but was to be {fate:?}", reported.key));
                        continue;
                    }
                };
                let row = self.rows.get(&(account.clone(), id));
                let is_right = row.is_some_and(|row| {
                    let is_marked = tag.as_ref().is_none_or(|tag| row.tags.contains(tag));
                    row.name == case.name && row.folder == self.folder_of(batch, case) && is_marked
                });
                if !is_right {
                    broken.push(format!("case {} is not row {id}, which is {row:?}", reported.key));
                }
                if id <= last {
                    broken.push(format!("case {} is row {id}, before the one of the case before", reported.key));
                }
                last = id;
                if !known.insert((account.clone(), id)) {
                    broken.push(format!("row {id} stands for two cases"));
                }
            }
            self.broken.extend(broken.into_iter().map(|what| format!("{key} {what}")));
        }
    }

    /// Checks that the shelf has exactly the expected entries, each with its reason, and that none of them waits.
    fn shelf(&mut self, winners: &[Winner<'_>]) {
        let mut expected: BTreeMap<String, Reason> = BTreeMap::new();
        let raw = |body: &[u8]| format!("raw {}", raw_hash(body));
        for batch in &self.plan.batches {
            let (key, body) = (self.plan.key_of(batch), batch.body(&self.plan.tenants));
            let winner = winners.iter().find(|winner| std::ptr::eq(winner.batch, batch));
            // `records` checks whether each of them may be lost.
            let is_lost = |case: &CaseRecord| case.state == CaseState::Lost;
            let has_lost = winner.is_some_and(|winner| winner.record.cases.iter().any(is_lost));
            let reason = match winner.map(Winner::expected_state) {
                _ if batch.astray => Some((raw(&body), Reason::Undeliverable)),
                None => Some((raw(&body), Reason::BatchConflict)),
                _ if has_lost => Some((key.to_string(), Reason::UnclearInTestmo)),
                Some(BatchState::Partial) => Some((key.to_string(), refusal_of(batch, Reason::CaseRefused))),
                Some(BatchState::Failed) => Some((key.to_string(), refusal_of(batch, Reason::AllRefused))),
                Some(BatchState::Delivered | BatchState::Open | BatchState::Discarded | BatchState::Undone) => None,
            };
            expected.extend(reason);
        }
        expected.extend(self.plan.broken.iter().map(|(_, text)| (raw(text.as_bytes()), Reason::NotJson)));
        expected.extend(poison(self.plan).map(|body| (raw(&body), Reason::CrashLoop)));
        let there: BTreeMap<String, Reason> = self
            .tables
            .shelf
            .values()
            .map(|row| match &row.content.identity {
                ShelfIdentity::Batch(key, _) => (key.to_string(), row.content.reason),
                ShelfIdentity::Raw(hash, ..) => (format!("raw {hash}"), row.content.reason),
            })
            .collect();
        if there != expected || there.len() != self.tables.shelf.len() {
            self.broken.push(format!("on the shelf are {there:?}, and should be {expected:?}"));
        }
    }

    /// Checks that each folder exists once.
    fn folders(&mut self, stage: &Stage) {
        for account in ACCOUNTS {
            let view = stage.testmo.world(|world| world.station(account).map(|station| station.view(account)));
            let mut seen = BTreeSet::new();
            for folder in view.iter().flat_map(|view| &view.projects).flat_map(|project| &project.folders) {
                if !seen.insert(&folder.path) && self.plan.kind != Kind::Late {
                    self.broken.push(format!("{account} has folder {} twice", folder.path));
                }
            }
        }
    }

    /// Checks that every outcome was published, that all copies of an event are equal, and that the events agree with
    /// the ledger.
    fn events(&mut self, stage: &Stage, winners: &[Winner<'_>]) {
        let heard = stage.broker.heard();
        let mut by_id: BTreeMap<&str, &[u8]> = BTreeMap::new();
        let mut settled: BTreeMap<(String, u64), BTreeSet<&str>> = BTreeMap::new();
        for event in &heard {
            let first = by_id.entry(&event.id).or_insert(&event.body);
            if *first != event.body {
                self.broken.push(format!("event {} has two bodies", event.id));
            }
            let body: Value = serde_json::from_slice(&event.body).unwrap_or_default();
            if let (Some(revision), Some(subject)) = (body["data"]["revision"].as_u64(), body["subject"].as_str())
                && body["data"]["outcome"].is_string()
            {
                settled.entry((subject.to_owned(), revision)).or_default().insert(&event.id);
            }
        }
        for ((subject, revision), ids) in settled.iter().filter(|(_, ids)| ids.len() > 1) {
            self.broken.push(format!("{subject}, revision {revision}, has the outcomes {ids:?}"));
        }
        for Winner { key, record, .. } in winners {
            let id = settlement_id(record).unwrap_or_default();
            let Some(body) = by_id.get(id.as_str()) else {
                self.broken.push(format!("{key}: no event reports its outcome"));
                continue;
            };
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let reported = body["data"]["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
            let reported: Vec<Option<u64>> = reported.iter().map(|case| case["testmo_id"].as_u64()).collect();
            let stored: Vec<Option<u64>> = record.cases.iter().map(|case| id_of(&case.state)).collect();
            if reported != stored {
                self.broken.push(format!("{key}: reported were the rows {reported:?}, stored are {stored:?}"));
            }
        }
    }
}

impl Check<'_> {
    /// Checks that each duplicate of a case is reported by exactly one event, together with the row that the ledger
    /// holds for the case, and that no other row is reported. A tenant whose cases have no batch tag gets no reports,
    /// because a person may have created the row. A row with the name of a case that is left to a person may be that
    /// case, so a report is optional.
    fn duplicates(&mut self, stage: &Stage, winners: &[Winner<'_>]) {
        let mut reported = reported_duplicates(stage);
        for (duplicate, events) in reported.iter().filter(|(_, events)| events.len() > 1) {
            self.broken.push(format!("{duplicate:?} is reported as a duplicate by {events:?}"));
        }
        let mut expected = BTreeSet::new();
        for Winner { batch, key, record, lost, .. } in winners {
            let (tenant, tag) = (&self.plan.tenants[batch.tenant], batch_tag(key));
            let known: BTreeMap<u64, usize> = record.arrived().map(|(at, id)| (id, at)).collect();
            let lost: BTreeSet<&str> = lost.iter().map(|at| batch.cases[*at].name.as_str()).collect();
            let is_marked = |account: &str, row: &CaseView| {
                tenant.batch_tag && account == tenant.account && row.tags.contains(&tag) && !known.contains_key(&row.id)
            };
            for ((_, id), row) in self.rows.iter().filter(|((account, _), row)| is_marked(account, row)) {
                let twice = Twice { tenant: key.tenant.to_string(), batch: key.batch.to_string(), duplicate: *id };
                if lost.contains(row.name.as_str()) {
                    reported.remove(&twice);
                    continue;
                }
                let of = reported.get(&twice).into_iter().flatten().find_map(|(_, id)| known.get(id));
                if of.is_some_and(|at| batch.cases[*at].name != row.name) {
                    self.broken.push(format!("{twice:?} is reported with another case"));
                }
                if of.is_some() || !reported.contains_key(&twice) {
                    expected.insert(twice);
                } else {
                    self.broken.push(format!("{twice:?} is reported with an unknown row"));
                }
            }
        }
        let reported: BTreeSet<Twice> = reported.into_keys().collect();
        if reported != expected {
            self.broken.push(format!("reported as duplicates are {reported:?}, and are duplicates {expected:?}"));
        }
    }
}

/// A row that duplicates a case of a batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Twice {
    tenant: String,
    batch: String,
    duplicate: u64,
}

/// Returns the rows that events reported as duplicates: for each row, the events and the known row that they named.
fn reported_duplicates(stage: &Stage) -> BTreeMap<Twice, BTreeSet<(String, u64)>> {
    let mut reported: BTreeMap<Twice, BTreeSet<(String, u64)>> = BTreeMap::new();
    for event in stage.broker.heard().into_iter().filter(|event| event.kind == DUPLICATED) {
        let body: Value = serde_json::from_slice(&event.body).unwrap_or_default();
        let data = &body["data"];
        let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
        for case in data["cases"].as_array().into_iter().flatten() {
            let id = |field: &str| case[field].as_u64().unwrap_or(0);
            let twice = Twice { tenant: text("tenant_id"), batch: text("batch_id"), duplicate: id("duplicate_id") };
            reported.entry(twice).or_default().insert((event.id.clone(), id("testmo_id")));
        }
    }
    reported
}

fn id_of(state: &CaseState) -> Option<u64> {
    match state {
        CaseState::Created(id) | CaseState::Adopted(id) => Some(*id),
        CaseState::Waiting | CaseState::Claimed | CaseState::Refused(_) | CaseState::Lost => None,
    }
}

/// Returns why not all of a batch arrives: `CaseTooLarge` if all refused cases share that reason, or else `otherwise`.
fn refusal_of(batch: &BatchPlan, otherwise: Reason) -> Reason {
    let mut refused = batch.cases.iter().filter(|case| case.fate != CaseFate::Taken);
    if refused.all(|case| case.fate == CaseFate::TooLarge) { Reason::CaseTooLarge } else { otherwise }
}
