//! How do replicas that share a database keep out of each other's way? They lock the rows of their batches first, and always
//! in the order of their keys.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::sql::{self, Bound, Dialect, Kind};
use super::super::{StoreError, accounts};
use super::{Change, Claim};
use crate::batch::{BatchKey, Reason};

/// Where replicas share the store: locks the row of every batch of a group, and makes an empty one, of epoch 0, for a
/// batch that is not stored yet, so that of two replicas one waits for the other.
pub(in crate::store) async fn lock(
    conn: &mut AnyConnection,
    now: i64,
    claims: &[Claim],
    changes: &[Change],
) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    if !dialect.is_shared() {
        return Ok(());
    }
    let revised = claims.iter().flat_map(|c| &c.batches).chain(changes.iter().filter_map(|c| c.batch.as_ref()));
    let (mut all, mut fresh) = (BTreeSet::new(), BTreeMap::new());
    for revised in revised {
        all.insert(&revised.record.key);
        if revised.from_epoch == 0 {
            fresh.entry(&revised.record.key).or_insert(revised.record.fingerprint.as_str());
        }
    }
    let row = |key: &BatchKey, fingerprint: &str| json!({"tenant": key.tenant.as_str(), "batch": key.batch.as_str(), "fingerprint": fingerprint});
    let columns = [("tenant", Kind::Text), ("batch", Kind::Text), ("fingerprint", Kind::Text)];
    if !fresh.is_empty() {
        let sql = format!(
            "INSERT INTO batches (tenant_id, batch_id, fingerprint, state, revision, epoch, targets, cases, \
             first_seen_at) SELECT tenant, batch, fingerprint, 'open', 1, 0, '[]', '[]', $2 FROM {} \
             ORDER BY tenant COLLATE \"C\", batch COLLATE \"C\" ON CONFLICT (tenant_id, batch_id) DO NOTHING",
            dialect.rows(&columns)
        );
        let rows: Vec<Value> = fresh.into_iter().map(|(key, fingerprint)| row(key, fingerprint)).collect();
        sql::execute(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
    }
    if !all.is_empty() {
        let sql = format!(
            "SELECT 1 FROM batches b JOIN {} ON b.tenant_id = r.tenant AND b.batch_id = r.batch \
             ORDER BY b.tenant_id, b.batch_id FOR UPDATE OF b",
            dialect.rows(&columns)
        );
        let rows: Vec<Value> = all.into_iter().map(|key| row(key, "")).collect();
        sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
    }
    let heard = changes.iter().filter_map(|change| change.heard.as_ref()).map(|heard| heard.account.as_str());
    accounts::lock(conn, claims.iter().map(|claim| claim.account.as_str()).chain(heard).collect()).await?;
    let mut shelved = changes.iter().filter_map(|change| change.shelve.as_ref());
    // Before any row of the shelf, as whoever gives an order does it.
    if shelved.any(|shelving| shelving.reason == Reason::Paused) { accounts::keep_orders(conn).await } else { Ok(()) }
}
