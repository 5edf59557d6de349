//! Lists what is on the shelf, for operators.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Conditions};
use super::super::{Store, StoreError, StoreHealth};
use super::read::shelved;
use super::{ShelfId, ShelfState, Shelved};
use crate::batch::{BatchId, Reason, TenantId};

/// Which rows of the shelf are meant; a part left empty means all.
#[derive(Clone, Debug, Default)]
pub struct ShelfFilter {
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
    pub async fn shelf(&self, filter: &ShelfFilter, most: u32) -> Result<Vec<Shelved>, StoreError> {
        let rows = self.matching("*", filter, most).await?;
        self.unreadable.skip(rows.iter().map(|row| shelved(row, self.now())))
    }

    /// Returns the ids of the rows of the shelf, oldest first; rows can be large, so they are then read one by one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_ids(&self, filter: &ShelfFilter) -> Result<Vec<ShelfId>, StoreError> {
        let rows = self.matching("id", filter, u32::MAX).await?;
        rows.iter().map(|row| row.int("id").map(ShelfId)).collect()
    }

    async fn matching(&self, columns: &str, filter: &ShelfFilter, most: u32) -> Result<Vec<AnyRow>, StoreError> {
        let text = |text: &str| Bound::Text(text.to_owned());
        let mut conditions = Conditions::default()
            .maybe("tenant_id =", filter.tenant.as_ref().map(|tenant| text(tenant.as_str())))
            .maybe("reason =", filter.reason.map(|reason| text(reason.code())))
            .maybe("state =", filter.state.map(|state| text(state.name())))
            .maybe("batch_id =", filter.batch.as_ref().map(|batch| text(batch.as_str())))
            .maybe("shelved_at >=", filter.since.map(Bound::Int))
            .maybe("shelved_at <", filter.until.map(Bound::Int));
        let limit = conditions.parameter(Bound::Int(i64::from(most)));
        let sql = format!("SELECT {columns} FROM shelf {} ORDER BY arrived_at, id LIMIT {limit}", conditions.clause());
        let mut conn = self.reading().await?;
        sql::fetch(&mut conn, sql, conditions.into_parameters()).await
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
