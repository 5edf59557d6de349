//! Checks that late duplicates are reported, each by one event.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testmo_courier::batch::batch_tag;
use testmo_courier::batch::event::DUPLICATED;
use testmo_sim::world::CaseView;

use super::{Check, Winner};
use crate::stage::Stage;

impl Check<'_> {
    /// Checks that each duplicate of a case is reported by exactly one event, together with the row that the ledger
    /// holds for the case, and that no other row is reported. A tenant whose cases have no batch tag gets no reports,
    /// because a person may have created the row. A row with the name of a case that is left to a person may be that
    /// case, so a report is optional.
    pub(super) fn duplicates(&mut self, stage: &Stage, winners: &[Winner<'_>]) {
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
