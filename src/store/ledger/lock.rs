//! Keeps replicas and commands that share a database from blocking each other: rows are locked in one order.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::sql::{self, Bound, Dialect, Kind};
use super::super::{StoreError, accounts};
use super::Commit;
use crate::batch::ledger::BatchState;
use crate::batch::{BatchKey, Reason, TenantId};

/// Where replicas share the store: keeps what a group of changes is about to touch in another order than its neighbours.
pub(in crate::store) async fn lock(conn: &mut AnyConnection, changes: &[Arc<Commit>]) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    if !dialect.is_shared() {
        return Ok(());
    }
    // Before anything else, as the removal of a tenant does it. Only a removal waits, and is waited for.
    let tenants: BTreeSet<&TenantId> = changes.iter().flat_map(|change| left_over(change)).collect();
    if !tenants.is_empty() {
        let rows: Vec<Value> = tenants.into_iter().map(|tenant| json!({"tenant": tenant.as_str()})).collect();
        let sql = format!(
            "SELECT 1 FROM connections c JOIN {} ON c.tenant_id = r.tenant {}",
            dialect.rows(&[("tenant", Kind::Text)]),
            dialect.stay()
        );
        sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
    }
    // An operator's action on a batch touches the shelf first; a worker that finishes it, the batch.
    let operator_action = changes.iter().filter(|change| change.operator_action.is_some());
    let keys: BTreeSet<&BatchKey> =
        operator_action.filter_map(|change| Some(&change.batch.as_ref()?.record.key)).collect();
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
    // Before any row of the shelf, as changing an override does it.
    if shelved.any(|shelving| shelving.reason == Reason::Paused) { accounts::keep_orders(conn).await } else { Ok(()) }
}

/// The tenants of which a change leaves something to do: on the shelf, or as an open record.
fn left_over(change: &Commit) -> impl Iterator<Item = &TenantId> {
    let shelved = change.shelve.as_ref().and_then(|shelving| shelving.identity.names().0);
    let open = change.batch.as_ref().map(|update| &update.record);
    let open = open.filter(|record| record.state == BatchState::Open).map(|record| &record.key.tenant);
    shelved.into_iter().chain(open)
}
