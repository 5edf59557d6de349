//! Keeps what Testmo showed of cases before fields of theirs were written, as long as the details of their batch.

use serde_json::Value;
use sqlx::AnyConnection;

use super::StoreError;
use super::sql::{self, Bound, Dialect, Kind};
use crate::batch::ledger::BatchRecord;

const KEYS: [(&str, Kind); 2] = [("tenant_id", Kind::Text), ("batch_id", Kind::Text)];

/// Keeps the former values of cases whose fields are about to be written, in the change of their batch that claims them.
pub(in crate::store) async fn keep(
    conn: &mut AnyConnection,
    record: &BatchRecord,
    body: &[u8],
) -> Result<(), StoreError> {
    let key = &record.key;
    let epoch = i64::try_from(record.epoch).unwrap_or(i64::MAX);
    let sql = "INSERT INTO former_values (tenant_id, batch_id, epoch, body) VALUES ($1, $2, $3, $4)";
    let bounds = vec![
        Bound::Text(key.tenant.as_str().to_owned()),
        Bound::Text(key.batch.as_str().to_owned()),
        Bound::Int(epoch),
        Bound::Blob(body.to_vec().into()),
    ];
    sql::execute(conn, sql, bounds).await.map(drop)
}

/// Removes the former values of batches, given as rows of their keys.
pub(in crate::store) async fn remove_with_batches(
    conn: &mut AnyConnection,
    batches: &[Value],
) -> Result<(), StoreError> {
    let rows = Dialect::of(conn).rows(&KEYS);
    let sql = format!(
        "DELETE FROM former_values WHERE (tenant_id, batch_id) IN (SELECT r.tenant_id, r.batch_id FROM {rows})"
    );
    sql::execute(conn, sql, vec![Bound::from(batches)]).await.map(drop)
}
