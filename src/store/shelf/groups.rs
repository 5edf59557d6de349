//! Groups what is on the shelf by its cause.

use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{Store, StoreError};
use super::{ShelfId, ShelfState};
use crate::batch::cause::CauseId;
use crate::batch::{Reason, TenantId};

/// What of one cause is on the shelf, of one tenant and in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseShare {
    /// The cause.
    pub cause: CauseId,
    /// Whether it is retried automatically.
    pub state: ShelfState,
    /// Whose it is, as far as known.
    pub tenant: Option<TenantId>,
    /// How many entries.
    pub count: u64,
    /// When the first of them arrived, in milliseconds on the store's clock.
    pub first_at: i64,
    /// When the last of them was shelved, likewise.
    pub last_at: i64,
}

/// What stands for all entries of a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseSample {
    /// The newest entry.
    pub id: ShelfId,
    /// Why it is on the shelf; `None` for a reason that this version does not know.
    pub reason: Option<Reason>,
    /// More about the reason.
    pub detail: Option<String>,
}

/// Walks from one cause to the next by an index.
pub(in crate::store) const CAUSES: &str = "WITH RECURSIVE causes(id) AS (\
    SELECT (SELECT MIN(s.cause) FROM shelf s WHERE s.cause IS NOT NULL) \
    UNION ALL SELECT (SELECT MIN(s.cause) FROM shelf s WHERE s.cause > causes.id) FROM causes WHERE causes.id IS NOT NULL) \
    SELECT id FROM causes WHERE id IS NOT NULL LIMIT $1";

/// Counts the newest entries of a cause, by an index that has all columns.
pub(in crate::store) const SHARES: &str = "SELECT state, tenant_id, COUNT(*) AS n, MIN(arrived_at) AS first_at, \
    MAX(shelved_at) AS last_at FROM (SELECT state, tenant_id, arrived_at, shelved_at FROM shelf WHERE cause = $1 \
    ORDER BY arrived_at DESC, id DESC LIMIT $2) AS newest GROUP BY state, tenant_id ORDER BY state, tenant_id";

/// Reads the newest entry of a cause.
pub(in crate::store) const SAMPLE: &str =
    "SELECT id, reason, detail FROM shelf WHERE cause = $1 ORDER BY arrived_at DESC, id DESC LIMIT 1";

/// Reads entries that an earlier version shelved.
pub(in crate::store) const WITHOUT_CAUSE: &str =
    "SELECT id, generation, reason, detail FROM shelf WHERE cause IS NULL LIMIT $1";

impl Store {
    /// Returns up to `most` causes for which something is on the shelf, in the order of their ids.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_causes(&self, most: u32) -> Result<Vec<CauseId>, StoreError> {
        let rows = sql::fetch(&mut *self.reading().await?, CAUSES, vec![Bound::Int(most.into())]).await?;
        let ids: Vec<i64> = rows.iter().map(|row| row.int("id")).collect::<Result<_, _>>()?;
        Ok(ids.into_iter().filter_map(CauseId::from_number).collect())
    }

    /// Counts the newest `most` entries of a cause, by state and tenant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn cause_shares(&self, cause: CauseId, most: u32) -> Result<Vec<CauseShare>, StoreError> {
        let bounds = vec![Bound::Int(cause.number()), Bound::Int(most.into())];
        let rows = sql::fetch(&mut *self.reading().await?, SHARES, bounds).await?;
        let share = |row: &AnyRow| -> Result<Option<CauseShare>, StoreError> {
            // What is in a state that this version does not know is left to the newer version.
            let Ok(state) = row.parsed("state") else { return Ok(None) };
            Ok(Some(CauseShare {
                cause,
                state,
                tenant: row.maybe_text("tenant_id")?.and_then(|tenant| TenantId::new(&tenant).ok()),
                count: row.whole("n")?,
                first_at: row.int("first_at")?,
                last_at: row.int("last_at")?,
            }))
        };
        rows.iter().filter_map(|row| share(row).transpose()).collect()
    }

    /// Returns the newest entry of a cause.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn cause_sample(&self, cause: CauseId) -> Result<Option<CauseSample>, StoreError> {
        let bounds = vec![Bound::Int(cause.number())];
        let rows = sql::fetch(&mut *self.reading().await?, SAMPLE, bounds).await?;
        let sample = |row: &AnyRow| -> Result<CauseSample, StoreError> {
            let reason = row.text("reason")?.parse().ok();
            Ok(CauseSample { id: ShelfId(row.int("id")?), reason, detail: row.maybe_text("detail")? })
        };
        rows.first().map(sample).transpose()
    }

    /// Computes the cause of up to `most` entries that an earlier version shelved, and returns how many it read.
    ///
    /// # Errors
    /// When the store does not answer; none or all of them may have their cause then.
    pub(super) async fn fill(&self, most: u32) -> Result<u64, StoreError> {
        let rows = sql::fetch(&mut *self.reading().await?, WITHOUT_CAUSE, vec![Bound::Int(most.into())]).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let found: Vec<Value> = rows.iter().map(cause_of).collect::<Result<_, _>>()?;
        let (mut conn, _) = self.writing_at().await?;
        let sql = filling_statement(Dialect::of(&conn));
        sql::execute(&mut conn, sql, vec![Bound::from(found.as_slice())]).await?;
        Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
    }
}

/// The statement that stores the causes of entries which are as they were read.
pub(in crate::store) fn filling_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE shelf SET cause = r.found FROM {} WHERE shelf.id = r.entry AND shelf.generation = r.seen",
        dialect.rows(&[("entry", Kind::Int), ("seen", Kind::Int), ("found", Kind::Int)])
    )
}

/// Entries with a reason that this version does not know have no cause of their own; one stands for all of them.
fn cause_of(row: &AnyRow) -> Result<Value, StoreError> {
    let (reason, detail) = (row.text("reason")?, row.maybe_text("detail")?);
    let cause = CauseId::of(&reason, detail.as_deref());
    Ok(json!({"entry": row.int("id")?, "seen": row.int("generation")?, "found": cause.number()}))
}
