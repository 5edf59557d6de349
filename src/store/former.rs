//! Keeps what Testmo showed of cases before fields of theirs were written, as long as the details of their batch.

use sqlx::AnyConnection;

use super::StoreError;
use super::sql::{self, Bound};
use crate::batch::ledger::BatchRecord;

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
