//! Removes what is kept beside the records of batches: with the details of a batch, and with its tenant.

use serde_json::Value;
use sqlx::{AnyConnection, AnyPool};

use super::StoreError;
use super::sql::{self, Bound, Dialect, Kind};
use crate::batch::TenantId;

/// So many rows of a tenant are removed at once.
const STEP: u32 = 500;

/// The tables, with the rest of each one's primary key behind the key of a batch.
const TABLES: [(&str, &str); 5] = [
    ("batch_history", "place"),
    ("former_values", "epoch"),
    ("undo_items", "number, place"),
    ("undos", "number"),
    ("write_windows", "epoch"),
];

const KEYS: [(&str, Kind); 2] = [("tenant_id", Kind::Text), ("batch_id", Kind::Text)];

/// Removes what is kept beside batches, given as rows of their keys.
pub(in crate::store) async fn remove_with_batches(
    conn: &mut AnyConnection,
    batches: &[Value],
) -> Result<(), StoreError> {
    let rows = Dialect::of(conn).rows(&KEYS);
    for (table, _) in TABLES {
        let sql =
            format!("DELETE FROM {table} WHERE (tenant_id, batch_id) IN (SELECT r.tenant_id, r.batch_id FROM {rows})");
        sql::execute(conn, sql, vec![Bound::from(batches)]).await?;
    }
    Ok(())
}

/// Removes what is kept beside the batches of a tenant, in steps, so that other changes come in between.
pub(in crate::store) async fn remove_of_tenant(writers: &AnyPool, tenant: &TenantId) -> Result<(), StoreError> {
    for (table, rest) in TABLES {
        let key = format!("tenant_id, batch_id, {rest}");
        let sql = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE tenant_id = $1 ORDER BY {key} LIMIT $2)"
        );
        loop {
            let mut conn = writers.acquire().await?;
            let bounds = vec![Bound::Text(tenant.as_str().to_owned()), Bound::Int(STEP.into())];
            if sql::execute(&mut conn, sql.clone(), bounds).await? < u64::from(STEP) {
                break;
            }
        }
    }
    Ok(())
}
