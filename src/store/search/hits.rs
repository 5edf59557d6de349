//! Reads what is on the shelf of batches that were found.

use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::super::shelf::{ShelfId, ShelfState};
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{Store, StoreError};
use super::SearchName;
use crate::batch::{BatchId, BatchKey, Reason, TenantId};

/// An entry of the shelf, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfHit {
    /// Its id.
    pub id: ShelfId,
    /// Its batch, as far as known.
    pub key: Option<BatchKey>,
    /// Whether it is retried automatically; `None` for a state that this version does not know.
    pub state: Option<ShelfState>,
    /// Why it is there; `None` for a reason that this version does not know.
    pub reason: Option<Reason>,
    /// When it was put there, in milliseconds on the store's clock.
    pub shelved_at: i64,
}

impl Store {
    /// Returns the entries of the shelf that rows of the search stand for: those of batches, and single ones.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_hits(&self, names: &[SearchName]) -> Result<Vec<ShelfHit>, StoreError> {
        let mut conn = self.reading().await?;
        let dialect = Dialect::of(&conn);
        let of_batches: Vec<Value> = names.iter().filter_map(of_batch).collect();
        let single = names.iter().filter(|name| name.shelf_id != 0);
        let single: Vec<Value> = single.map(|name| json!({"entry": name.shelf_id})).collect();
        let mut hits = Vec::new();
        for (rows, sql) in [(of_batches, by_batch(dialect)), (single, by_id(dialect))] {
            if !rows.is_empty() {
                let found = sql::fetch(&mut conn, sql, vec![Bound::from(rows.as_slice())]).await?;
                hits.extend(found.iter().map(hit).collect::<Result<Vec<_>, _>>()?);
            }
        }
        hits.sort_by_key(|hit| hit.id);
        hits.dedup_by_key(|hit| hit.id);
        Ok(hits)
    }
}

fn of_batch(name: &SearchName) -> Option<Value> {
    let (tenant, batch) = (name.tenant.as_ref()?, name.batch.as_ref()?);
    (name.shelf_id == 0).then(|| json!({"tenant": tenant.as_str(), "batch": batch.as_str()}))
}

const COLUMNS: &str = "s.id, s.tenant_id, s.batch_id, s.state, s.reason, s.shelved_at";

pub(in crate::store) fn by_batch(dialect: Dialect) -> String {
    let rows = dialect.rows(&[("tenant", Kind::Text), ("batch", Kind::Text)]);
    format!("SELECT {COLUMNS} FROM {rows} CROSS JOIN shelf s WHERE s.tenant_id = r.tenant AND s.batch_id = r.batch")
}

pub(in crate::store) fn by_id(dialect: Dialect) -> String {
    format!("SELECT {COLUMNS} FROM {} CROSS JOIN shelf s WHERE s.id = r.entry", dialect.rows(&[("entry", Kind::Int)]))
}

fn hit(row: &AnyRow) -> Result<ShelfHit, StoreError> {
    let tenant = row.maybe_text("tenant_id")?.and_then(|tenant| TenantId::new(&tenant).ok());
    let batch = row.maybe_text("batch_id")?.and_then(|batch| BatchId::new(&batch).ok());
    Ok(ShelfHit {
        id: ShelfId(row.int("id")?),
        key: tenant.zip(batch).map(|(tenant, batch)| BatchKey::new(tenant, batch)),
        state: row.text("state")?.parse().ok(),
        reason: row.text("reason")?.parse().ok(),
        shelved_at: row.int("shelved_at")?,
    })
}
