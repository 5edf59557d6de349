//! Checks that this version can read every row of a store that it reads as values.

use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::connections::connection;
use super::super::ledger::stored;
use super::super::shelf::shelved;
use super::super::sql::{self, Bound, Columns};

/// How many rows are read at once.
const AT_ONCE: i64 = 200;
/// How many entries are read at once; each has its message.
const ENTRIES_AT_ONCE: i64 = 20;

/// Reads every batch, every entry, and every connection.
pub(super) async fn require_readable(conn: &mut AnyConnection) -> Result<(), StoreError> {
    let (mut tenant, mut batch) = (String::new(), String::new());
    loop {
        let sql = "SELECT * FROM batches WHERE (tenant_id, batch_id) > ($1, $2) ORDER BY tenant_id, batch_id LIMIT $3";
        let bounds = vec![Bound::Text(tenant), Bound::Text(batch), Bound::Int(AT_ONCE)];
        let rows = sql::fetch(conn, sql, bounds).await?;
        rows.iter().try_for_each(|row| stored(row).map(drop))?;
        let Some(last) = rows.last() else { break };
        (tenant, batch) = (last.text("tenant_id")?, last.text("batch_id")?);
    }
    // A discarded entry has no lease.
    let of_discarded = ", CAST(NULL AS BIGINT) AS lease_until, CAST(NULL AS BIGINT) AS replay";
    for (table, more) in [("shelf", ""), ("discarded", of_discarded)] {
        let mut after = i64::MIN;
        loop {
            let sql = format!("SELECT *{more} FROM {table} WHERE id > $1 ORDER BY id LIMIT {ENTRIES_AT_ONCE}");
            let rows = sql::fetch(conn, sql, vec![Bound::Int(after)]).await?;
            rows.iter().try_for_each(|row| shelved(row, 0).map(drop))?;
            let Some(last) = rows.last() else { break };
            after = last.int("id")?;
        }
    }
    let rows = sql::fetch(conn, "SELECT * FROM connections ORDER BY tenant_id", vec![]).await?;
    rows.iter().try_for_each(|row| connection(row).map(drop))
}
