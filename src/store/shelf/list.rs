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

/// How many rows are read at once.
const PAGE: u32 = 500;

/// The place of a row in the order of the list.
type Place = (i64, i64);

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
        let rows = self.matching("id, arrived_at", filter, u32::MAX).await?;
        rows.iter().map(|row| row.int("id").map(ShelfId)).collect()
    }

    /// Reads page by page, each from the place where the one before ended.
    async fn matching(&self, columns: &str, filter: &ShelfFilter, most: u32) -> Result<Vec<AnyRow>, StoreError> {
        let (mut matching, mut after) = (Vec::new(), None);
        loop {
            let left = most - u32::try_from(matching.len()).unwrap_or(most).min(most);
            let page = self.page(columns, filter, after, left.min(PAGE)).await?;
            after = page.last().map(place).transpose()?;
            let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
            matching.extend(page);
            if is_last {
                return Ok(matching);
            }
        }
    }

    /// Reads the rows after a place. Those of a tenant are in the order of their arrival by state.
    async fn page(
        &self,
        columns: &str,
        filter: &ShelfFilter,
        after: Option<Place>,
        most: u32,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let mut conn = self.reading().await?;
        if filter.tenant.is_none() || filter.state.is_some() || filter.batch.is_some() {
            let (sql, parameters) = page_statement(columns, filter, after, most);
            return sql::fetch(&mut conn, sql, parameters).await;
        }
        let mut rows = Vec::new();
        for state in ShelfState::ALL {
            let (sql, parameters) =
                page_statement(columns, &ShelfFilter { state: Some(state), ..filter.clone() }, after, most);
            for row in sql::fetch(&mut conn, sql, parameters).await? {
                rows.push((place(&row)?, row));
            }
        }
        rows.sort_by_key(|(place, _)| *place);
        rows.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(rows.into_iter().map(|(_, row)| row).collect())
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

/// Returns the statement that reads up to `most` rows after a place, in the order of an index.
pub(in crate::store) fn page_statement(
    columns: &str,
    filter: &ShelfFilter,
    after: Option<Place>,
    most: u32,
) -> (String, Vec<Bound>) {
    let text = |text: &str| Bound::Text(text.to_owned());
    let mut conditions = Conditions::default()
        .maybe("tenant_id =", filter.tenant.as_ref().map(|tenant| text(tenant.as_str())))
        .maybe("reason =", filter.reason.map(|reason| text(reason.code())))
        .maybe("state =", filter.state.map(|state| text(state.name())))
        .maybe("batch_id =", filter.batch.as_ref().map(|batch| text(batch.as_str())))
        .maybe("shelved_at >=", filter.since.map(Bound::Int))
        .maybe("shelved_at <", filter.until.map(Bound::Int));
    if let Some((arrived_at, id)) = after {
        let (arrived_at, id) = (conditions.parameter(Bound::Int(arrived_at)), conditions.parameter(Bound::Int(id)));
        conditions = conditions.fixed(&format!("(arrived_at, id) > ({arrived_at}, {id})"));
    }
    let limit = conditions.parameter(Bound::Int(i64::from(most)));
    let sql = format!("SELECT {columns} FROM shelf {} ORDER BY arrived_at, id LIMIT {limit}", conditions.clause());
    (sql, conditions.into_parameters())
}

fn place(row: &AnyRow) -> Result<Place, StoreError> {
    Ok((row.int("arrived_at")?, row.int("id")?))
}
