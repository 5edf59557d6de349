//! Is everything as it has to be at the end of a run? Testmo's own record decides, and the ledger must agree with it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testmo_courier::batch::decode::decode;
use testmo_courier::batch::event::{DUPLICATED, settlement_id};
use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseState};
use testmo_courier::batch::{BatchKey, Reason, fingerprint, mark, raw_hash};
use testmo_courier::store::shelf::Identity;
use testmo_sim::world::CaseView;

use crate::batches::{BatchPlan, CaseFate};
use crate::plan::{ACCOUNTS, Kind, Plan};
use crate::stage::{Stage, poison};
use crate::store::tables::Tables;

/// A place for a case: account, path of the folder, name.
type Spot = (String, String, String);

/// Everything that does not hold.
pub(crate) fn check(stage: &Stage, plan: &Plan) -> Vec<String> {
    stage.store.at_once(|tables, _| {
        let mut check = Check { plan, tables, rows: rows(stage), broken: Vec::new() };
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
    /// The identity of a batch.
    pub(crate) fn key_of(&self, batch: &BatchPlan) -> BatchKey {
        let key = format!("{}/{}", self.tenants[batch.tenant].name, batch.id);
        key.parse().expect("a key")
    }

    fn fingerprint_of(&self, batch: &BatchPlan) -> String {
        fingerprint(&decode(&batch.body(&self.tenants)).expect("a batch"))
    }
}

/// Every case that is in Testmo, by account and id.
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
    broken: Vec<String>,
}

/// A batch that is to arrive, and what the ledger has of it.
struct Winner<'a> {
    batch: &'a BatchPlan,
    key: BatchKey,
    record: &'a BatchRecord,
}

impl<'a> Check<'a> {
    /// The batches that are to arrive. Of two with one id it is the one whose fingerprint was stored first.
    fn winners(&mut self) -> Vec<Winner<'a>> {
        let mut winners = Vec::new();
        for batch in self.plan.batches.iter().filter(|batch| !batch.astray) {
            let key = self.plan.key_of(batch);
            let Some(record) = self.tables.batches.get(&key).map(|entry| &entry.stored.record) else {
                self.broken.push(format!("{key}: the ledger does not know it"));
                continue;
            };
            if record.fingerprint == self.plan.fingerprint_of(batch) {
                winners.push(Winner { batch, key, record });
            }
        }
        winners
    }

    fn place_of(&self, batch: &BatchPlan) -> (String, String) {
        let tenant = &self.plan.tenants[batch.tenant];
        let own = if tenant.folder == 1 { "Generated" } else { "Other" };
        let path = std::iter::once(own).chain(batch.path.iter().map(String::as_str));
        (tenant.account.to_owned(), path.collect::<Vec<_>>().join("/"))
    }

    /// Each case is there exactly once, in its folder, and nothing else is there.
    fn cases(&mut self, winners: &[Winner<'_>]) {
        let mut counts: BTreeMap<Spot, i64> = BTreeMap::new();
        for Winner { batch, .. } in winners {
            let (account, path) = self.place_of(batch);
            for name in batch.taken() {
                *counts.entry((account.clone(), path.clone(), name.to_owned())).or_default() += 1;
            }
        }
        for ((account, _), row) in &self.rows {
            *counts.entry((account.clone(), row.folder.clone(), row.name.clone())).or_default() -= 1;
        }
        for (spot, missing) in counts.into_iter().filter(|(_, missing)| *missing != 0) {
            match (missing, self.plan.kind) {
                // A commit beyond the settle time is the one way to a duplicate, of which `duplicates` asks.
                (..0, Kind::Late) => {}
                (..0, Kind::Usual | Kind::Poison | Kind::Many) => {
                    self.broken.push(format!("{spot:?}: {} too many", -missing))
                }
                (0.., _) => self.broken.push(format!("{spot:?}: {missing} lost")),
            }
        }
    }

    /// The ledger knows every case by its id, in order, and no id twice.
    fn records(&mut self, winners: &[Winner<'_>]) {
        let mut known = BTreeSet::new();
        for winner in winners {
            let (Winner { batch, key, record }, (account, path)) = (winner, self.place_of(winner.batch));
            let tenant = &self.plan.tenants[batch.tenant];
            let tag = tenant.mark.then(|| mark(key));
            let mut broken = Vec::new();
            let expected = expected_state(batch);
            if record.state != expected {
                broken.push(format!("is {}, not {}", record.state.name(), expected.name()));
            }
            if record.open_push.is_some() || record.doubt_since.is_some() {
                broken.push("has an open push or a doubt".to_owned());
            }
            let mut last = 0;
            for (case, told) in batch.cases.iter().zip(&record.cases) {
                let id = match (&told.state, case.fate) {
                    (CaseState::Created(id) | CaseState::Adopted(id), CaseFate::Taken) => *id,
                    (CaseState::Refused(_), CaseFate::Refused | CaseFate::TooLarge) => continue,
                    (state, fate) => {
                        broken.push(format!("case {} is {state:?}, but was to be {fate:?}", told.key));
                        continue;
                    }
                };
                let row = self.rows.get(&(account.clone(), id));
                let is_right = row.is_some_and(|row| {
                    let is_marked = tag.as_ref().is_none_or(|tag| row.tags.contains(tag));
                    row.name == case.name && row.folder == path && is_marked
                });
                if !is_right {
                    broken.push(format!("case {} is not row {id}, which is {row:?}", told.key));
                }
                if id <= last {
                    broken.push(format!("case {} is row {id}, before the one of the case before", told.key));
                }
                last = id;
                if !known.insert((account.clone(), id)) {
                    broken.push(format!("row {id} stands for two cases"));
                }
            }
            self.broken.extend(broken.into_iter().map(|what| format!("{key} {what}")));
        }
    }

    /// Only that is on the shelf which must be, each for its reason, and nothing waits there.
    fn shelf(&mut self, winners: &[Winner<'_>]) {
        let mut expected: BTreeMap<String, Reason> = BTreeMap::new();
        let raw = |body: &[u8]| format!("raw {}", raw_hash(body));
        for batch in &self.plan.batches {
            let (key, body) = (self.plan.key_of(batch), batch.body(&self.plan.tenants));
            let wins = winners.iter().any(|winner| std::ptr::eq(winner.batch, batch));
            let reason = match expected_state(batch) {
                _ if batch.astray => Some((raw(&body), Reason::Undeliverable)),
                _ if !wins => Some((raw(&body), Reason::BatchConflict)),
                BatchState::Partial => Some((key.to_string(), refusal_of(batch, Reason::CaseRefused))),
                BatchState::Failed => Some((key.to_string(), refusal_of(batch, Reason::AllRefused))),
                BatchState::Delivered | BatchState::Open | BatchState::Discarded | BatchState::Undone => None,
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
                Identity::Batch(key, _) => (key.to_string(), row.content.reason),
                Identity::Raw(hash, ..) => (format!("raw {hash}"), row.content.reason),
            })
            .collect();
        if there != expected || there.len() != self.tables.shelf.len() {
            self.broken.push(format!("on the shelf are {there:?}, and should be {expected:?}"));
        }
    }

    /// Each folder is there once.
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

    /// Every outcome was told, all copies of an event are alike, and they tell what is so.
    fn events(&mut self, stage: &Stage, winners: &[Winner<'_>]) {
        let heard = stage.broker.heard();
        let mut by_id: BTreeMap<&str, &[u8]> = BTreeMap::new();
        let mut settled: BTreeMap<(String, u64), BTreeSet<&str>> = BTreeMap::new();
        for event in &heard {
            let first = by_id.entry(&event.id).or_insert(&event.body);
            if *first != event.body {
                self.broken.push(format!("event {} was told in two ways", event.id));
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
                self.broken.push(format!("{key}: its outcome was not told"));
                continue;
            };
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let told = body["data"]["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
            let told: Vec<Option<u64>> = told.iter().map(|case| case["testmo_id"].as_u64()).collect();
            let stored: Vec<Option<u64>> = record.cases.iter().map(|case| id_of(&case.state)).collect();
            if told != stored {
                self.broken.push(format!("{key}: told were the rows {told:?}, stored are {stored:?}"));
            }
        }
    }
}

impl Check<'_> {
    /// Each row that stands for a case once more is told, with the row that the ledger holds for the case; nothing else
    /// is told to be one. Of a tenant whose cases carry no mark nothing is said: a person may have made the row.
    fn duplicates(&mut self, stage: &Stage, winners: &[Winner<'_>]) {
        let mut told: BTreeSet<(String, String, u64, u64)> = BTreeSet::new();
        for event in stage.broker.heard().iter().filter(|event| event.kind == DUPLICATED) {
            let body: Value = serde_json::from_slice(&event.body).unwrap_or_default();
            let name = |field: &str| body["data"][field].as_str().unwrap_or_default().to_owned();
            let id = |case: &Value, field: &str| case[field].as_u64().unwrap_or(0);
            let cases = body["data"]["cases"].as_array().into_iter().flatten();
            let of =
                |case: &Value| (name("tenant_id"), name("batch_id"), id(case, "testmo_id"), id(case, "duplicate_id"));
            told.extend(cases.map(of));
        }
        let mut expected = BTreeSet::new();
        for Winner { batch, key, record } in winners {
            let tenant = &self.plan.tenants[batch.tenant];
            let (tag, arrived) = (mark(key), record.arrived().collect::<Vec<_>>());
            let marked = self.rows.iter().filter(|((account, _), row)| {
                tenant.mark && account.as_str() == tenant.account && row.tags.contains(&tag)
            });
            let twice = marked.map(|((_, id), _)| *id).filter(|id| arrived.iter().all(|(_, known)| known != id));
            expected.extend(twice.map(|id| (key.tenant.to_string(), key.batch.to_string(), id)));
            let known: BTreeSet<u64> = arrived.iter().map(|(_, id)| *id).collect();
            let of_batch = |told: &&(String, String, u64, u64)| {
                told.0 == key.tenant.as_str() && told.1 == key.batch.as_str() && !known.contains(&told.2)
            };
            if let Some(wrong) = told.iter().find(of_batch) {
                self.broken.push(format!("{key}: row {} is told to stand for a case and does not", wrong.2));
            }
        }
        let told: BTreeSet<(String, String, u64)> =
            told.into_iter().map(|(tenant, batch, _, duplicate)| (tenant, batch, duplicate)).collect();
        if told != expected {
            self.broken.push(format!("told to stand in Testmo twice are {told:?}, and do {expected:?}"));
        }
    }
}

fn id_of(state: &CaseState) -> Option<u64> {
    match state {
        CaseState::Created(id) | CaseState::Adopted(id) => Some(*id),
        CaseState::Waiting | CaseState::Claimed | CaseState::Refused(_) | CaseState::Lost => None,
    }
}

/// Why not all of a batch arrives: the reason that all refused cases share, where it says more than that.
fn refusal_of(batch: &BatchPlan, otherwise: Reason) -> Reason {
    let mut refused = batch.cases.iter().filter(|case| case.fate != CaseFate::Taken);
    if refused.all(|case| case.fate == CaseFate::TooLarge) { Reason::CaseTooLarge } else { otherwise }
}

/// How a batch is to end.
fn expected_state(batch: &BatchPlan) -> BatchState {
    match batch.taken().len() {
        0 => BatchState::Failed,
        taken if taken == batch.cases.len() => BatchState::Delivered,
        _ => BatchState::Partial,
    }
}
