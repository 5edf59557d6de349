//! Removes histories of what has neither a record nor an entry on the shelf once they are old.

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::prune::PruneRound;
use super::super::sql::{self, Bound, Columns, Dialect, Kind};

const KEYS: [(&str, Kind); 2] = [("tenant_id", Kind::Text), ("batch_id", Kind::Text)];

/// The statement that examines up to `$2` entries whose last time is before `$1`, after the one at `$3` to `$5`.
pub(in crate::store) fn examine_history(dialect: Dialect) -> String {
    format!(
        "SELECT tenant_id, batch_id, last_at, CASE WHEN NOT EXISTS (SELECT 1 FROM batches b \
         WHERE b.tenant_id = batch_history.tenant_id AND b.batch_id = batch_history.batch_id AND b.pruned_at IS NULL \
         AND b.epoch > 0) AND NOT EXISTS (SELECT 1 FROM shelf s WHERE s.tenant_id = batch_history.tenant_id \
         AND s.batch_id = batch_history.batch_id) THEN 1 ELSE 0 END AS is_over FROM batch_history WHERE last_at < $1 \
         AND last_at >= $3 AND (last_at > $3 OR (tenant_id, batch_id) > ($4, $5)) \
         ORDER BY last_at, tenant_id, batch_id LIMIT $2 {}",
        dialect.skip_taken()
    )
}

/// Examines the next entries of a round, and removes what is old of batches that have neither details nor an entry on the
/// shelf.
pub(in crate::store) async fn prune_history(
    conn: &mut AnyConnection,
    round: &mut PruneRound,
    most: u32,
) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    let (at, tenant, batch) = round.last_entry.clone().unwrap_or((i64::MIN, String::new(), String::new()));
    let bounds = vec![
        Bound::Int(round.before),
        Bound::Int(i64::from(most)),
        Bound::Int(at),
        Bound::Text(tenant),
        Bound::Text(batch),
    ];
    let rows = sql::fetch(conn, examine_history(dialect), bounds).await?;
    round.no_entries_left = rows.len() < usize::try_from(most).unwrap_or(usize::MAX);
    let mut over: Vec<Value> = Vec::new();
    for row in &rows {
        let (tenant, batch) = (row.text("tenant_id")?, row.text("batch_id")?);
        if row.int("is_over")? != 0 {
            over.push(json!({"tenant_id": tenant, "batch_id": batch}));
        }
        round.last_entry = Some((row.int("last_at")?, tenant, batch));
    }
    if over.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM batch_history WHERE (tenant_id, batch_id) IN (SELECT r.tenant_id, r.batch_id FROM {}) \
         AND last_at < $2",
        dialect.rows(&KEYS)
    );
    sql::execute(conn, sql, vec![Bound::from(over.as_slice()), Bound::Int(round.before)]).await.map(drop)
}
