//! Checks the end of a run against Testmo's own record, with which the ledger must agree.

mod audit;
mod corrections;
mod duplicates;
pub(crate) mod replays;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testmo_courier::batch::event::settlement_id;
use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseRecord, CaseState, Standing};
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::{BatchKey, Reason, batch_tag, fingerprint, raw_hash};
use testmo_courier::store::shelf::ShelfIdentity;
use testmo_sim::world::CaseView;

use self::corrections::Corrections;
use crate::batches::{BatchPlan, CaseFate, CasePlan};
use crate::plan::{ACCOUNTS, Kind, Plan};
use crate::stage::{Stage, poison};
use crate::store::tables::{ShelfRow, Tables};

/// A place for a case: account, path of the folder, name.
type Spot = (String, String, String);

/// Returns every violation.
pub(crate) fn check(stage: &Stage, plan: &Plan) -> Vec<String> {
    stage.store.at_once(|tables, _| {
        let Corrections { plan, unsent, copies } = &Corrections::of(plan, tables);
        let (rows, late) = (rows(stage), stage.testmo.late());
        let mut check = Check { plan, unsent, copies, tables, rows, late, broken: Vec::new() };
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
        check.broken.extend(replays::check(tables, &stage.broker.heard()));
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
    /// The batches that a person corrected, and that were not sent since.
    unsent: &'a BTreeSet<BatchKey>,
    /// Messages without a queue that a person corrected.
    copies: &'a [Vec<u8>],
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
    /// Whether a person discarded it before it was finished.
    fn is_given_up(&self) -> bool {
        self.record.state == BatchState::Discarded
    }

    fn expected_state(&self) -> BatchState {
        if self.is_given_up() {
            return BatchState::Discarded;
        }
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
        for batch in &self.plan.batches {
            let key = self.plan.key_of(batch);
            let Some(record) = self.tables.batches.get(&key).map(|entry| &entry.stored.record) else {
                // What no queue was bound for arrives if a person replays it.
                if !batch.astray {
                    self.broken.push(format!("{key}: the ledger does not know it"));
                }
                continue;
            };
            if record.standing(&self.plan.fingerprint_of(batch)) != Standing::Other {
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
        for winner in winners {
            let Winner { batch, record, lost, .. } = winner;
            let account = self.plan.tenants[batch.tenant].account.to_owned();
            let cases = batch.cases.iter().enumerate();
            let arrives = |at: &usize, case: &CasePlan| match winner.is_given_up() {
                true => record.arrived().any(|(arrived, _)| arrived == *at),
                false => case.fate == CaseFate::Taken && !lost.contains(at),
            };
            for (_, case) in cases.filter(|(at, case)| arrives(at, case)) {
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
                (..0, Kind::Usual | Kind::Poison | Kind::Many | Kind::Flood | Kind::Quiet) => {
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
                    (CaseState::Waiting, CaseFate::Refused | CaseFate::TooLarge) if self.unsent.contains(key) => {
                        continue;
                    }
                    (CaseState::Waiting | CaseState::Refused(_) | CaseState::Lost, _) if winner.is_given_up() => {
                        continue;
                    }
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
                // What a person has corrected comes after the others.
                if !case.is_corrected() {
                    if id <= last {
                        broken.push(format!("case {} is row {id}, before the one of the case before", reported.key));
                    }
                    last = id;
                }
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
        // What a person discarded may be there again if a copy came, and a copy may have come of what a person replayed.
        // Of two batches with one id, one may have been discarded before it was known that they are in conflict.
        let raw = |body: &[u8]| format!("raw {}", raw_hash(body));
        let discarded = self.tables.discarded.values();
        let mut may_be: BTreeSet<String> =
            discarded.flat_map(|(row, _)| [name_of(row), raw(&row.content.body)]).collect();
        may_be.extend(self.copies.iter().map(|copy| raw(copy)));
        for batch in &self.plan.batches {
            let (key, body) = (self.plan.key_of(batch), batch.body(&self.plan.tenants));
            let winner = winners.iter().find(|winner| std::ptr::eq(winner.batch, batch));
            // `records` checks whether each of them may be lost.
            let is_lost = |case: &CaseRecord| case.state == CaseState::Lost;
            let has_lost = winner.is_some_and(|winner| winner.record.cases.iter().any(is_lost));
            if batch.astray {
                may_be.insert(raw(&body));
            }
            let reason = match winner.map(Winner::expected_state) {
                None if batch.astray => Some((raw(&body), Reason::Undeliverable)),
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
        let rows = self.tables.shelf.values();
        let there: BTreeMap<String, Reason> = rows.map(|row| (name_of(row), row.content.reason)).collect();
        let is_wrong = |(name, reason): &(&String, &Reason)| match expected.get(*name) {
            Some(right) => right != *reason,
            None => !may_be.contains(*name),
        };
        let missing = expected.keys().any(|name| !there.contains_key(name) && !may_be.contains(name));
        if there.iter().any(|row| is_wrong(&row)) || missing || there.len() != self.tables.shelf.len() {
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

/// Names a row of the shelf by its batch, or by the hash of its message.
fn name_of(row: &ShelfRow) -> String {
    match &row.content.identity {
        ShelfIdentity::Batch(key, _) => key.to_string(),
        ShelfIdentity::Raw(hash, ..) => format!("raw {hash}"),
    }
}

fn id_of(state: &CaseState) -> Option<u64> {
    match state {
        CaseState::Created(id) | CaseState::Adopted(id) => Some(*id),
        CaseState::Waiting | CaseState::Claimed | CaseState::Repeated(_) | CaseState::Refused(_) | CaseState::Lost => {
            None
        }
    }
}

/// Returns why not all of a batch arrives: `CaseTooLarge` if all refused cases share that reason, or else `otherwise`.
fn refusal_of(batch: &BatchPlan, otherwise: Reason) -> Reason {
    let mut refused = batch.cases.iter().filter(|case| case.fate != CaseFate::Taken);
    if refused.all(|case| case.fate == CaseFate::TooLarge) { Reason::CaseTooLarge } else { otherwise }
}
