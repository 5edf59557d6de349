//! Puts onto the shelf of a quiet store what failed there before, with the records of the batches.

use std::collections::BTreeMap;

use testmo_courier::batch::ledger::{BatchRecord, BatchState, CaseState, Target};
use testmo_courier::batch::message::decode::decode;
use testmo_courier::batch::{fingerprint, raw_hash};
use testmo_courier::store::accounts::{LaneOverride, LaneSelector};
use testmo_courier::store::ledger::StoredBatch;
use testmo_courier::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};

use super::draw::{Cause, Group, QuietPlan, Trouble};
use crate::batches::BatchPlan;
use crate::plan::origin_of;
use crate::stage::Stage;
use crate::store::tables::{BatchEntry, Tables, after};

/// The details of the groups of entries. They have no digits, which the id of a cause ignores.
const DETAILS: [&str; 4] = ["first cause", "second cause", "third cause", "fourth cause"];

/// Fills the shelf, and lets trouble begin.
pub(super) fn fill(stage: &Stage, quiet: &QuietPlan) {
    stage.store.at_once(|tables, now| {
        let mut next_id = 900_000;
        for (number, group) in quiet.groups.iter().enumerate() {
            for batch in &group.batches {
                put(tables, quiet, (number, group), batch, &mut next_id, now);
            }
        }
        match quiet.trouble {
            Trouble::Paused { tenant } => {
                let lane = LaneSelector::Tenant(quiet.plan.tenants[tenant].id());
                tables.set_lane_override(&LaneOverride { lane, paused: true, most: None }, now);
            }
            Trouble::RateLimited { account, pause } => {
                tables.throttles.entry(origin_of(account)).or_default().rate_limited_until = after(now, pause);
            }
            Trouble::None | Trouble::NoConnection { .. } | Trouble::Failing { .. } => {}
        }
    });
    if let Trouble::Failing { account, status } = quiet.trouble {
        stage.testmo.answer_all(account, Some(status));
    }
}

fn put(
    tables: &mut Tables,
    quiet: &QuietPlan,
    (number, group): (usize, &Group),
    batch: &BatchPlan,
    next_id: &mut u64,
    now: i64,
) {
    let body = batch.body(&quiet.plan.tenants);
    let read = decode(&body).expect("a batch");
    let (key, print) = (read.key.clone(), fingerprint(&read));
    let tenant = &quiet.plan.tenants[group.tenant];
    let record = BatchRecord::of_batch(&read, print.clone());
    let target = Target { account: origin_of(tenant.account), project: 1, folder: tenant.folder };
    let record = match group.cause {
        Cause::Outage | Cause::NoQueue | Cause::Refused { .. } => None,
        Cause::Delivered => Some((BatchState::Delivered, record)),
        Cause::Lost => Some((BatchState::Failed, record)),
    };
    if let Some((state, mut record)) = record {
        record.targets.push(target);
        for case in &mut record.cases {
            *next_id += 1;
            case.state = if state == BatchState::Delivered { CaseState::Created(*next_id) } else { CaseState::Lost };
        }
        (record.first_seen_at, record.epoch) = (now, 1);
        record.settle(state, now);
        let stored = StoredBatch { record, claimed_at: Some(now), lease_until: None };
        tables.batches.insert(key.clone(), BatchEntry { stored, pruned: false, look_after: 0 });
    }
    let identity = match group.cause.is_raw() {
        true => ShelfIdentity::Raw(raw_hash(&body), None, None),
        false => ShelfIdentity::Batch(key, print),
    };
    let present = tables.connection(&tenant.id()).map(|row| row.version);
    let is_changed = group.cause == Cause::Refused { changed: true };
    let shelving = Shelving {
        identity,
        reason: group.cause.reason(),
        detail: Some(DETAILS[number].into()),
        until: ShelvedUntil::Person,
        account: (!group.cause.is_raw()).then(|| origin_of(tenant.account)),
        connection: if is_changed { Some("the one before".into()) } else { present },
        parks: 3,
        failing_since: None,
        arrived_at: now,
        published_at: None,
        headers: BTreeMap::new(),
        body: body.into(),
    };
    tables.put_on_shelf(&shelving, now);
}

#[test]
fn each_detail_is_a_cause_of_its_own() {
    let of = |detail: &&str| testmo_courier::batch::cause::CauseId::of("case_refused", Some(detail));
    let causes: std::collections::BTreeSet<_> = DETAILS.iter().map(of).collect();
    assert_eq!(causes.len(), DETAILS.len());
}
