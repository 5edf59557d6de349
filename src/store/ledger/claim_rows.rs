//! Stores granted claims: the records with their claimed cases, and the pushes.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound, Dialect, Kind};
use super::read::key_of;
use super::row::{BATCH_COLUMNS, BatchRow};
use super::{Claim, ClaimOutcome, KnownIds, RecordUpdate, StoredBatch};
use crate::batch::BatchKey;
use crate::batch::ledger::CaseState;

/// A claim, and those of its batches that are part of it.
pub(super) struct Granted<'a> {
    pub(super) claim: &'a Claim,
    pub(super) ids: KnownIds,
    pub(super) batches: Vec<&'a RecordUpdate>,
}

impl<'a> Granted<'a> {
    pub(super) fn of(claim: &'a Claim, answer: &ClaimOutcome) -> Option<Self> {
        let ClaimOutcome::Granted { stale, contested, unreadable, ids, .. } = answer else { return None };
        let out = |key: &BatchKey| {
            contested.contains(key)
                || stale.iter().any(|stored| stored.record.key == *key)
                || unreadable.iter().any(|(other, _)| other == key)
        };
        let batches = claim.batches.iter().filter(|update| !out(&update.record.key)).collect();
        Some(Self { claim, ids: *ids, batches })
    }

    fn cases(&self) -> usize {
        let claimed =
            |update: &&RecordUpdate| update.record.cases.iter().filter(|case| case.state == CaseState::Claimed).count();
        self.batches.iter().map(claimed).sum()
    }

    fn lease_until(&self, now: i64) -> i64 {
        now + i64::try_from(self.claim.lease.as_millis()).unwrap_or(i64::MAX / 2)
    }
}

/// Stores the records of claims and gives the keys of those whose stored epoch was the expected one.
pub(super) async fn store_batches(
    conn: &mut AnyConnection,
    now: i64,
    claims: &[Granted<'_>],
    stored: &HashMap<BatchKey, StoredBatch>,
) -> Result<HashSet<BatchKey>, StoreError> {
    let (mut new, mut known) = (Vec::new(), Vec::new());
    for granted in claims {
        let until = Some(granted.lease_until(now));
        for update in &granted.batches {
            let rows = if update.from_epoch == 0 { &mut new } else { &mut known };
            let (account, highest) = (&granted.claim.account, granted.ids.floor());
            let before = stored.get(&update.record.key).map(|stored| &stored.record);
            let floor = before.map_or(highest, |record| record.next_floor(account, highest));
            rows.push(BatchRow::of(update, until).above(floor));
        }
    }
    let rows = Dialect::of(conn).rows(&BATCH_COLUMNS);
    let mut kept = HashSet::new();
    let insert = format!(
        "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, source, replaced, targets, cases, open_push, \
         doubt_since, floor, claimed_at, lease_until, first_seen_at, settled_at, published_at, arrived_at, restores, trace) \
         SELECT tenant_id, batch_id, fingerprint, state, revision, epoch, source, replaced, targets, cases, open_push, \
         doubt_since, floor, $2, lease_until, $2, settled_at, published_at, arrived_at, restores, trace FROM {rows} WHERE true \
         ON CONFLICT (tenant_id, batch_id) DO UPDATE SET state = excluded.state, epoch = excluded.epoch, \
         fingerprint = excluded.fingerprint, first_seen_at = excluded.first_seen_at, source = excluded.source, replaced = excluded.replaced, targets = excluded.targets, \
         cases = excluded.cases, open_push = excluded.open_push, doubt_since = excluded.doubt_since, \
         floor = excluded.floor, claimed_at = excluded.claimed_at, lease_until = excluded.lease_until, \
         revision = excluded.revision, restores = excluded.restores, trace = excluded.trace, \
         published_at = excluded.published_at, arrived_at = excluded.arrived_at WHERE batches.epoch = 0 \
         RETURNING tenant_id, batch_id"
    );
    let update = format!(
        "UPDATE batches SET state = r.state, epoch = r.epoch, targets = r.targets, cases = r.cases, \
         open_push = r.open_push, doubt_since = r.doubt_since, floor = r.floor, claimed_at = $2, \
         lease_until = r.lease_until \
         FROM {rows} WHERE batches.tenant_id = r.tenant_id AND batches.batch_id = r.batch_id \
         AND batches.epoch = r.from_epoch RETURNING batches.tenant_id, batches.batch_id"
    );
    for (sql, mut rows) in [(insert, new), (update, known)] {
        rows.sort_unstable_by_key(BatchRow::order);
        if !rows.is_empty() {
            let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
            kept.extend(rows.iter().map(key_of).collect::<Result<Vec<_>, _>>()?);
        }
    }
    Ok(kept)
}

#[derive(Serialize)]
struct Part<'a> {
    tenant_id: &'a str,
    batch_id: &'a str,
    push_id: &'a str,
}

pub(super) async fn store_pushes(conn: &mut AnyConnection, now: i64, claims: &[Granted<'_>]) -> Result<(), StoreError> {
    let names =
        |granted: &Granted<'_>| -> Vec<String> { granted.batches.iter().map(|b| b.record.key.to_string()).collect() };
    let pushes: Vec<Value> = claims
        .iter()
        .filter_map(|granted| {
            let claim = granted.claim;
            // Its batches can go to several folders; each record has its own.
            let target = granted.batches.first()?.record.target()?;
            Some(json!({"push_id": claim.push, "account": claim.account, "project_id": target.project,
                        "folder_id": target.folder, "tenant_id": claim.tenant.as_str(),
                        "connection": claim.connection, "batches": json!(names(granted)).to_string(),
                        "cases": granted.cases(), "holder": claim.holder, "lease_until": granted.lease_until(now)}))
        })
        .collect();
    let columns = [
        ("push_id", Kind::Text),
        ("account", Kind::Text),
        ("project_id", Kind::Int),
        ("folder_id", Kind::Int),
        ("tenant_id", Kind::Text),
        ("connection", Kind::Text),
        ("batches", Kind::Text),
        ("cases", Kind::Int),
        ("holder", Kind::Text),
        ("lease_until", Kind::Int),
    ];
    let sql = format!(
        "INSERT INTO pushes (push_id, account, project_id, folder_id, tenant_id, connection, batches, cases, holder, \
         lease_until, claimed_at) SELECT push_id, account, project_id, folder_id, tenant_id, connection, batches, \
         cases, holder, lease_until, $2 FROM {}",
        Dialect::of(conn).rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(pushes.as_slice()), Bound::Int(now)]).await?;
    let mut parts = Vec::new();
    for granted in claims {
        let push_id = granted.claim.push.as_str();
        let keys = granted.batches.iter().map(|update| &update.record.key);
        parts.extend(keys.map(|key| Part { tenant_id: key.tenant.as_str(), batch_id: key.batch.as_str(), push_id }));
    }
    let columns = [("tenant_id", Kind::Text), ("batch_id", Kind::Text), ("push_id", Kind::Text)];
    let sql = format!(
        "INSERT INTO push_parts (tenant_id, batch_id, push_id) SELECT tenant_id, batch_id, push_id FROM {}",
        Dialect::of(conn).rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(parts.as_slice())]).await?;
    Ok(())
}
