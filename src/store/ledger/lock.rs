//! How do replicas and commands that share a database keep out of each other's way? Whoever changes several rows takes them
//! in one order.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::sql::{self, Bound, Dialect, Kind};
use super::super::{StoreError, accounts};
use super::Change;
use crate::batch::{BatchKey, Reason};

/// Where replicas share the store: keeps what a group of changes is about to touch in another order than its neighbours.
pub(in crate::store) async fn lock(conn: &mut AnyConnection, changes: &[Arc<Change>]) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    if !dialect.is_shared() {
        return Ok(());
    }
    // What a person wants of a batch touches the shelf first; a worker that settles it, the batch.
    let by_hand = changes.iter().filter(|change| change.by_hand.is_some());
    let keys: BTreeSet<&BatchKey> = by_hand.filter_map(|change| Some(&change.batch.as_ref()?.record.key)).collect();
    if !keys.is_empty() {
        let sql = format!(
            "SELECT 1 FROM batches b JOIN {} ON b.tenant_id = r.tenant AND b.batch_id = r.batch \
             ORDER BY b.tenant_id, b.batch_id FOR UPDATE OF b",
            dialect.rows(&[("tenant", Kind::Text), ("batch", Kind::Text)])
        );
        let row = |key: &BatchKey| json!({"tenant": key.tenant.as_str(), "batch": key.batch.as_str()});
        let rows: Vec<Value> = keys.into_iter().map(row).collect();
        sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
    }
    let mut shelved = changes.iter().filter_map(|change| change.shelve.as_ref());
    // Before any row of the shelf, as whoever gives an order does it.
    if shelved.any(|shelving| shelving.reason == Reason::Paused) { accounts::keep_orders(conn).await } else { Ok(()) }
}
