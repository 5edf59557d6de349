//! Lists what is on the shelf, for people.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns};
use super::super::{Store, StoreError, StoreHealth};
use super::read::shelved;
use super::{ShelfId, ShelfState, Shelved};
use crate::batch::{BatchId, Reason, TenantId};

/// Which rows of the shelf are meant; a part left empty means all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Those of a tenant.
    pub tenant: Option<TenantId>,
    /// Those there for a reason.
    pub reason: Option<Reason>,
    /// Those in a state.
    pub state: Option<ShelfState>,
    /// Those of a batch, together with its tenant.
    pub batch: Option<BatchId>,
    /// Those put there at or after a time, in milliseconds on the store's clock.
    pub since: Option<i64>,
    /// Those put there before a time, likewise.
    pub until: Option<i64>,
}

impl Store {
    /// Returns up to `most` rows of the shelf, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf(&self, filter: &Filter, most: u32) -> Result<Vec<Shelved>, StoreError> {
        let rows = self.matching("*", filter, most).await?;
        self.unreadable.skip(rows.iter().map(|row| shelved(row, self.now())))
    }

    /// Returns the ids of the rows of the shelf, oldest first; rows can be large, so they are then read one by one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_ids(&self, filter: &Filter) -> Result<Vec<ShelfId>, StoreError> {
        let rows = self.matching("id", filter, u32::MAX).await?;
        rows.iter().map(|row| row.int("id").map(ShelfId)).collect()
    }

    async fn matching(&self, columns: &str, filter: &Filter, most: u32) -> Result<Vec<AnyRow>, StoreError> {
        let sql = format!(
            "SELECT {columns} FROM shelf WHERE ($1 IS NULL OR tenant_id = $1) AND ($2 IS NULL OR reason = $2) \
             AND ($3 IS NULL OR state = $3) AND ($4 IS NULL OR batch_id = $4) AND ($5 IS NULL OR shelved_at >= $5) \
             AND ($6 IS NULL OR shelved_at < $6) ORDER BY arrived_at, id LIMIT $7"
        );
        let bounds = vec![
            Bound::MaybeText(filter.tenant.as_ref().map(|t| t.as_str().to_owned())),
            Bound::MaybeText(filter.reason.map(|r| r.code().to_owned())),
            Bound::MaybeText(filter.state.map(|s| s.name().to_owned())),
            Bound::MaybeText(filter.batch.as_ref().map(|b| b.as_str().to_owned())),
            Bound::MaybeInt(filter.since),
            Bound::MaybeInt(filter.until),
            Bound::Int(i64::from(most)),
        ];
        let mut conn = self.reading().await?;
        sql::fetch(&mut conn, sql, bounds).await
    }

    /// Returns one row of the shelf.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read the row.
    pub async fn shelved(&self, id: ShelfId) -> Result<Option<Shelved>, StoreError> {
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, "SELECT * FROM shelf WHERE id = $1", vec![Bound::Int(id.0)]).await?;
        self.unreadable.noted(rows.first().map(|row| shelved(row, self.now())).transpose())
    }

    /// Counts the batches of a tenant that are retried automatically.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn parked_of(&self, tenant: &TenantId) -> Result<i64, StoreError> {
        let sql = "SELECT COUNT(*) AS n FROM shelf WHERE tenant_id = $1 AND state = 'parked'";
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        rows.first().map_or(Ok(0), |row| row.int("n"))
    }
}
