//! Decides which claims are granted, many in one transaction.

use std::collections::HashSet;

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::accounts::{AccountStates, PermitDecision};
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::claim_rows::{Granted, store_batches, store_pushes};
use super::read::{Loaded, load};
use super::{Claim, ClaimOutcome};
use crate::batch::BatchKey;

/// Decides every claim and stores those that are granted.
pub(in crate::store) async fn claim(
    conn: &mut AnyConnection,
    now: i64,
    claims: &[Claim],
    states: &mut AccountStates,
) -> Result<Vec<ClaimOutcome>, StoreError> {
    let current = current_connections(conn, claims).await?;
    let loaded = load(conn, claims.iter().flat_map(|c| c.batches.iter().map(|b| &b.record.key)).collect()).await?;
    let mut taken = HashSet::new();
    let mut answers: Vec<ClaimOutcome> =
        claims.iter().map(|claim| decide(claim, now, states, &current, &loaded, &mut taken)).collect();
    let mut granted: Vec<Granted<'_>> =
        claims.iter().zip(&answers).filter_map(|(claim, answer)| Granted::of(claim, answer)).collect();
    if granted.is_empty() {
        return Ok(answers);
    }
    let kept = store_batches(conn, now, &granted, &loaded.stored).await?;
    for (claim, answer) in claims.iter().zip(&mut answers) {
        lose(conn, now, claim, answer, &kept).await?;
    }
    granted.iter_mut().for_each(|granted| granted.batches.retain(|update| kept.contains(&update.record.key)));
    granted.retain(|granted| !granted.batches.is_empty());
    store_pushes(conn, now, &granted).await?;
    Ok(answers)
}

/// Takes back from a claim what another replica was quicker to store.
async fn lose(
    conn: &mut AnyConnection,
    now: i64,
    claim: &Claim,
    answer: &mut ClaimOutcome,
    kept: &HashSet<BatchKey>,
) -> Result<(), StoreError> {
    let Some(granted) = Granted::of(claim, answer) else { return Ok(()) };
    let (won, lost): (Vec<&BatchKey>, Vec<&BatchKey>) =
        granted.batches.iter().map(|update| &update.record.key).partition(|key| kept.contains(key));
    if won.is_empty() {
        let keys = claim.batches.iter().map(|update| &update.record.key).collect();
        let stored = load(conn, keys).await?.stored.into_values().collect();
        *answer = ClaimOutcome::Stale { stored, now };
    } else if let ClaimOutcome::Granted { contested, .. } = answer {
        contested.extend(lost.into_iter().cloned());
    }
    Ok(())
}

fn decide<'a>(
    claim: &'a Claim,
    now: i64,
    states: &mut AccountStates,
    current: &HashSet<(String, String)>,
    loaded: &Loaded,
    taken: &mut HashSet<&'a BatchKey>,
) -> ClaimOutcome {
    if !current.contains(&(claim.tenant.as_str().to_owned(), claim.connection.clone())) {
        return ClaimOutcome::ConnectionChanged;
    }
    if let Some(row) = states.unreadable(&claim.account) {
        return ClaimOutcome::Unreadable(row.clone());
    }
    let (mut stale, mut contested, mut fitting) = (Vec::new(), Vec::new(), Vec::new());
    let mut unreadable = Vec::new();
    for update in &claim.batches {
        let key = &update.record.key;
        if let Some(row) = loaded.unreadable.get(key) {
            unreadable.push((key.clone(), row.clone()));
            continue;
        }
        match loaded.stored.get(key) {
            _ if taken.contains(key) => contested.push(key.clone()),
            None if update.from_epoch == 0 => fitting.push(key),
            Some(s) if s.record.epoch == update.from_epoch && s.record.fingerprint == update.record.fingerprint => {
                fitting.push(key);
            }
            Some(other) => stale.push(other.clone()),
            // It was pruned, or never stored: the caller has to read it again.
            None => contested.push(key.clone()),
        }
    }
    if fitting.is_empty()
        && stale.is_empty()
        && let Some((_, row)) = unreadable.first()
    {
        return ClaimOutcome::Unreadable(row.clone());
    }
    if fitting.is_empty() {
        return ClaimOutcome::Stale { stored: stale, now };
    }
    match states.ask(&claim.account, &claim.tenant, claim.ceiling) {
        PermitDecision::Granted { limit } => {
            taken.extend(fitting);
            let ids = states.ids(&claim.account);
            ClaimOutcome::Granted { at: now, limit, ids, stale, contested, unreadable }
        }
        PermitDecision::Full { limit } => ClaimOutcome::Full { limit },
        PermitDecision::Wait(pause) => ClaimOutcome::Wait(pause),
        PermitDecision::Probe => ClaimOutcome::Probe,
        PermitDecision::Paused => ClaimOutcome::Paused,
    }
}

/// The verified connections of claiming tenants, none of which is removed before the claims are stored.
async fn current_connections(
    conn: &mut AnyConnection,
    claims: &[Claim],
) -> Result<HashSet<(String, String)>, StoreError> {
    let tenants: HashSet<&str> = claims.iter().map(|c| c.tenant.as_str()).collect();
    let wanted: Vec<Value> = tenants.into_iter().map(|t| json!({"tenant": t})).collect();
    let dialect = Dialect::of(conn);
    let sql = format!(
        "SELECT c.tenant_id, c.version FROM connections c JOIN {} ON c.tenant_id = r.tenant \
         WHERE c.verified_version = c.version {}",
        dialect.rows(&[("tenant", Kind::Text)]),
        dialect.stay()
    );
    let rows = sql::fetch(conn, sql, vec![Bound::from(wanted.as_slice())]).await?;
    rows.iter().map(|row| Ok((row.text("tenant_id")?, row.text("version")?))).collect()
}
