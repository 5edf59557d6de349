//! Who may send which cases now? Claims, many in one transaction.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::accounts::{Answer, Known};
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::row::{BATCH_COLUMNS, BatchRow};
use super::{Claim, Claimed, Revised, Stored, load};
use crate::batch::BatchKey;
use crate::batch::ledger::CaseState;

/// Decides every claim and stores those that are granted.
pub(in crate::store) async fn claim(
    conn: &mut AnyConnection,
    now: i64,
    claims: &[Claim],
) -> Result<Vec<Claimed>, StoreError> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = Known::load(conn, now, claims.iter().map(|claim| claim.account.as_str()).collect()).await?;
    let current = current_connections(conn, claims).await?;
    let stored = load(conn, claims.iter().flat_map(|c| c.batches.iter().map(|b| &b.record.key)).collect()).await?;
    let mut taken = HashSet::new();
    let answers: Vec<Claimed> =
        claims.iter().map(|claim| decide(claim, now, &mut known, &current, &stored, &mut taken)).collect();
    let granted: Vec<Granted<'_>> =
        claims.iter().zip(&answers).filter_map(|(claim, answer)| Granted::of(claim, answer)).collect();
    store_claims(conn, now, &granted).await?;
    known.store(conn).await?;
    Ok(answers)
}

/// A claim, and those of its batches that are part of it.
struct Granted<'a> {
    claim: &'a Claim,
    batches: Vec<&'a Revised>,
}

impl<'a> Granted<'a> {
    fn of(claim: &'a Claim, answer: &Claimed) -> Option<Self> {
        let Claimed::Granted { stale, contested, .. } = answer else { return None };
        let out = |key: &BatchKey| contested.contains(key) || stale.iter().any(|stored| stored.record.key == *key);
        let batches = claim.batches.iter().filter(|revised| !out(&revised.record.key)).collect();
        Some(Self { claim, batches })
    }

    fn cases(&self) -> usize {
        let claimed =
            |revised: &&Revised| revised.record.cases.iter().filter(|case| case.state == CaseState::Claimed).count();
        self.batches.iter().map(claimed).sum()
    }

    fn lease_until(&self, now: i64) -> i64 {
        now + i64::try_from(self.claim.lease.as_millis()).unwrap_or(i64::MAX / 2)
    }
}

fn decide<'a>(
    claim: &'a Claim,
    now: i64,
    known: &mut Known,
    current: &HashSet<(String, String)>,
    stored: &HashMap<BatchKey, Stored>,
    taken: &mut HashSet<&'a BatchKey>,
) -> Claimed {
    if !current.contains(&(claim.tenant.as_str().to_owned(), claim.connection.clone())) {
        return Claimed::ConnectionChanged;
    }
    let (mut stale, mut contested, mut fitting) = (Vec::new(), Vec::new(), Vec::new());
    for revised in &claim.batches {
        let key = &revised.record.key;
        match stored.get(key) {
            _ if taken.contains(key) => contested.push(key.clone()),
            None if revised.from_epoch == 0 => fitting.push(key),
            Some(s) if s.record.epoch == revised.from_epoch && s.record.fingerprint == revised.record.fingerprint => {
                fitting.push(key);
            }
            Some(other) => stale.push(other.clone()),
            // It was pruned away, or never stored: whoever believes otherwise reads it anew.
            None => contested.push(key.clone()),
        }
    }
    if fitting.is_empty() {
        return Claimed::Stale { stored: stale, now };
    }
    match known.ask(&claim.account, &claim.tenant, claim.ceiling, claim.lease) {
        Answer::Granted { limit } => {
            taken.extend(fitting);
            Claimed::Granted { at: now, limit, stale, contested }
        }
        Answer::Full { limit } => Claimed::Full { limit },
        Answer::Wait(pause) => Claimed::Wait(pause),
        Answer::Probe => Claimed::Probe,
        Answer::Paused => Claimed::Paused,
    }
}

async fn current_connections(
    conn: &mut AnyConnection,
    claims: &[Claim],
) -> Result<HashSet<(String, String)>, StoreError> {
    let tenants: HashSet<&str> = claims.iter().map(|c| c.tenant.as_str()).collect();
    let wanted: Vec<Value> = tenants.into_iter().map(|t| json!({"tenant": t})).collect();
    let sql = format!(
        "SELECT c.tenant_id, c.version FROM connections c JOIN {} ON c.tenant_id = r.tenant \
         WHERE c.verified_version = c.version",
        Dialect::of(conn).rows(&[("tenant", Kind::Text)])
    );
    let rows = sql::fetch(conn, sql, vec![Bound::from(wanted.as_slice())]).await?;
    rows.iter().map(|row| Ok((row.text("tenant_id")?, row.text("version")?))).collect()
}

async fn store_claims(conn: &mut AnyConnection, now: i64, claims: &[Granted<'_>]) -> Result<(), StoreError> {
    if claims.is_empty() {
        return Ok(());
    }
    let mut batches = Vec::new();
    for granted in claims {
        let until = Some(granted.lease_until(now));
        batches.extend(granted.batches.iter().map(|revised| BatchRow::of(revised, until)));
    }
    let sql = format!(
        "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push, \
         doubt_since, claimed_at, lease_until, first_seen_at, settled_at) \
         SELECT tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, open_push, \
         doubt_since, $2, lease_until, $2, settled_at FROM {} WHERE true \
         ON CONFLICT (tenant_id, batch_id) DO UPDATE SET state = excluded.state, epoch = excluded.epoch, \
         fingerprint = CASE WHEN batches.epoch = 0 THEN excluded.fingerprint ELSE batches.fingerprint END, \
         first_seen_at = CASE WHEN batches.epoch = 0 THEN excluded.first_seen_at ELSE batches.first_seen_at END, \
         targets = excluded.targets, cases = excluded.cases, open_push = excluded.open_push, \
         doubt_since = excluded.doubt_since, claimed_at = excluded.claimed_at, lease_until = excluded.lease_until",
        Dialect::of(conn).rows(&BATCH_COLUMNS)
    );
    sql::execute(conn, sql, vec![Bound::from(batches.as_slice()), Bound::Int(now)]).await?;
    store_pushes(conn, now, claims).await
}

async fn store_pushes(conn: &mut AnyConnection, now: i64, claims: &[Granted<'_>]) -> Result<(), StoreError> {
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
    let part = |granted: &Granted<'_>, key: &BatchKey| json!({"tenant_id": key.tenant.as_str(), "batch_id": key.batch.as_str(), "push_id": granted.claim.push});
    let parts: Vec<Value> = claims
        .iter()
        .flat_map(|granted| granted.batches.iter().map(|revised| part(granted, &revised.record.key)))
        .collect();
    let columns = [("tenant_id", Kind::Text), ("batch_id", Kind::Text), ("push_id", Kind::Text)];
    let sql = format!(
        "INSERT INTO push_parts (tenant_id, batch_id, push_id) SELECT tenant_id, batch_id, push_id FROM {}",
        Dialect::of(conn).rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(parts.as_slice())]).await?;
    Ok(())
}
