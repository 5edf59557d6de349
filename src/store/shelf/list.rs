//! Lists what is on the shelf and counts it, for operators.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect};
use super::super::{Store, StoreError, StoreHealth};
use super::conditions::{ShelfFilter, are_few, conditions};
use super::read::shelved;
use super::{ShelfId, ShelfState, Shelved};
use crate::batch::{Reason, TenantId};

/// The order of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Order {
    OldestFirst,
    NewestFirst,
}

/// What is on the shelf, counted by state, reason and tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfTotal {
    /// Whether it is retried automatically.
    pub state: ShelfState,
    /// Why it is there; `None` for every reason that this version does not know.
    pub reason: Option<Reason>,
    /// Whose it is, as far as known.
    pub tenant: Option<TenantId>,
    /// How many.
    pub count: u64,
}

/// Every column of a row, but the message is left out: a list does not show it, and it can be large.
const WITHOUT_MESSAGE: &str = "id, identity, generation, state, reason, detail, tenant_id, batch_id, account, connection, \
    waits_for, due_at, parks, failing_since, arrived_at, published_at, shelved_at, lease_until, person_epoch, replay, cases, \
    '{}' AS headers, ";

/// How many rows are read at once.
const PAGE: u32 = 500;

/// The place of a row in the order of the list: when it arrived, in milliseconds on the store's clock, and its id.
pub type Place = (i64, i64);

impl Store {
    /// Returns up to `most` rows of the shelf, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf(&self, filter: &ShelfFilter, most: u32) -> Result<Vec<Shelved>, StoreError> {
        let rows = self.matching("*", filter, Order::OldestFirst, most).await?;
        self.unreadable.skip(rows.iter().map(|row| shelved(row, self.now())))
    }

    /// Returns up to `most` rows of the shelf without their messages, newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn newest_on_shelf(&self, filter: &ShelfFilter, most: u32) -> Result<Vec<Shelved>, StoreError> {
        let columns = without_message(Dialect::of(&*self.reading().await?));
        let rows = self.matching(&columns, filter, Order::NewestFirst, most).await?;
        self.unreadable.skip(rows.iter().map(|row| shelved(row, self.now())))
    }

    /// Returns up to `most` rows of the shelf behind a place, without their messages, oldest first, and the place where
    /// they end; none if there are no more.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_heads(
        &self,
        filter: &ShelfFilter,
        after: Option<(i64, i64)>,
        most: u32,
    ) -> Result<(Vec<Shelved>, Option<(i64, i64)>), StoreError> {
        let columns = without_message(Dialect::of(&*self.reading().await?));
        let rows = self.page(&columns, filter, (Order::OldestFirst, after), most).await?;
        let end = rows.last().map(place).transpose()?;
        Ok((self.unreadable.skip(rows.iter().map(|row| shelved(row, self.now())))?, end))
    }

    /// Returns up to `most` rows of the shelf behind a place without their messages, newest first, and the place behind which
    /// further ones may follow.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_page(
        &self,
        filter: &ShelfFilter,
        behind: Option<Place>,
        most: u32,
    ) -> Result<(Vec<Shelved>, Option<Place>), StoreError> {
        let columns = without_message(Dialect::of(&*self.reading().await?));
        let rows = self.page(&columns, filter, (Order::NewestFirst, behind), most).await?;
        let is_full = rows.len() >= usize::try_from(most).unwrap_or(usize::MAX);
        let next = rows.last().filter(|_| is_full).map(place).transpose()?;
        Ok((self.unreadable.skip(rows.iter().map(|row| shelved(row, self.now())))?, next))
    }

    /// Counts the newest `most` rows of the shelf, those of a tenant for each state, and returns whether these are all.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_totals(&self, filter: &ShelfFilter, most: u32) -> Result<(Vec<ShelfTotal>, bool), StoreError> {
        let (mut totals, mut is_all) = (Vec::new(), true);
        for filter in by_index(filter) {
            let mut conn = self.reading().await?;
            let (sql, parameters) = totals_statement(Dialect::of(&conn), &filter, most);
            let rows = sql::fetch(&mut conn, sql, parameters).await?;
            let mut examined = 0;
            for row in &rows {
                examined += row.int("examined")?;
                // What is in a state that this version does not know is not listed either.
                let Ok(state) = row.parsed("state") else { continue };
                let tenant = row.maybe_text("tenant_id")?.and_then(|tenant| TenantId::new(&tenant).ok());
                let (reason, count) = (row.text("reason")?.parse().ok(), row.whole("n")?);
                totals.extend((count > 0).then_some(ShelfTotal { state, reason, tenant, count }));
            }
            is_all &= examined < i64::from(most);
        }
        Ok((totals, is_all))
    }

    /// Returns the ids of the rows of the shelf, oldest first; rows can be large, so they are then read one by one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_ids(&self, filter: &ShelfFilter) -> Result<Vec<ShelfId>, StoreError> {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let page = self.page("id, arrived_at", filter, (Order::OldestFirst, after), PAGE).await?;
            after = page.last().map(place).transpose()?;
            for row in &page {
                ids.push(ShelfId(row.int("id")?));
            }
            if page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                return Ok(ids);
            }
        }
    }

    /// Returns whether there is a row of the shelf with this id.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn is_on_shelf(&self, id: ShelfId) -> Result<bool, StoreError> {
        let sql = "SELECT id FROM shelf WHERE id = $1";
        Ok(!sql::fetch(&mut *self.reading().await?, sql, vec![Bound::Int(id.0)]).await?.is_empty())
    }

    /// Returns the ids of the rows whose message has a hash that begins with these digits, as far as they are not known by
    /// their batch; at most a page of them.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn shelf_ids_of_message(&self, hash: &str) -> Result<Vec<ShelfId>, StoreError> {
        // The range is read by an index, in which a database may order by its own rules; the prefix decides.
        let sql = "SELECT id FROM shelf WHERE identity >= $1 AND identity < $2 AND identity LIKE $3 LIMIT $4";
        let first = format!("raw:{hash}");
        let (after, prefix) = (format!("{first}g"), format!("{first}%"));
        let bounds = vec![Bound::Text(first), Bound::Text(after), Bound::Text(prefix), Bound::Int(PAGE.into())];
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        let mut ids: Vec<i64> = rows.iter().map(|row| row.int("id")).collect::<Result<_, _>>()?;
        ids.sort_unstable();
        Ok(ids.into_iter().map(ShelfId).collect())
    }

    /// Reads page by page, each from the place where the one before ended.
    async fn matching(
        &self,
        columns: &str,
        filter: &ShelfFilter,
        order: Order,
        most: u32,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let (mut matching, mut after) = (Vec::new(), None);
        loop {
            let left = most - u32::try_from(matching.len()).unwrap_or(most).min(most);
            let page = self.page(columns, filter, (order, after), left.min(PAGE)).await?;
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
        from: (Order, Option<Place>),
        most: u32,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let mut conn = self.reading().await?;
        let mut rows = Vec::new();
        for filter in by_index(filter) {
            let (sql, parameters) = page_statement(Dialect::of(&conn), columns, &filter, from, most);
            for row in sql::fetch(&mut conn, sql, parameters).await? {
                rows.push((place(&row)?, row));
            }
        }
        rows.sort_by_key(|(place, _)| *place);
        if from.0 == Order::NewestFirst {
            rows.reverse();
        }
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
}

/// Returns the columns of a row without its message.
fn without_message(dialect: Dialect) -> String {
    format!("{WITHOUT_MESSAGE}{} AS body", if dialect.is_shared() { "''::bytea" } else { "x''" })
}

/// Returns the filters that have an order of arrival in an index: of a tenant, the rows of each state have one.
fn by_index(filter: &ShelfFilter) -> Vec<ShelfFilter> {
    if filter.tenant.is_none() || filter.state.is_some() || filter.cause.is_some() || are_few(filter) {
        return vec![filter.clone()];
    }
    ShelfState::ALL.map(|state| ShelfFilter { state: Some(state), ..filter.clone() }).into()
}

/// Returns the statement that reads up to `most` rows after a place, in the order of an index.
pub(in crate::store) fn page_statement(
    dialect: Dialect,
    columns: &str,
    filter: &ShelfFilter,
    (order, after): (Order, Option<Place>),
    most: u32,
) -> (String, Vec<Bound>) {
    let mut conditions = conditions(dialect, filter)
        .maybe("shelved_at >=", filter.since.map(Bound::Int))
        .maybe("shelved_at <", filter.until.map(Bound::Int));
    let (beyond, direction) = match order {
        Order::OldestFirst => (">", ""),
        Order::NewestFirst => ("<", " DESC"),
    };
    if let Some((arrived_at, id)) = after {
        let (arrived_at, id) = (conditions.parameter(Bound::Int(arrived_at)), conditions.parameter(Bound::Int(id)));
        conditions = conditions.fixed(&format!("(arrived_at, id) {beyond} ({arrived_at}, {id})"));
    }
    let limit = conditions.parameter(Bound::Int(i64::from(most)));
    let arrived_at = if are_few(filter) { "arrived_at + 0" } else { "arrived_at" };
    let sql = format!(
        "SELECT {columns} FROM shelf {} ORDER BY {arrived_at}{direction}, id{direction} LIMIT {limit}",
        conditions.clause()
    );
    (sql, conditions.into_parameters())
}

/// Returns the statement that counts among the newest `most` rows. A time on the shelf has no index, so rows
/// outside of it are examined, too.
pub(in crate::store) fn totals_statement(dialect: Dialect, filter: &ShelfFilter, most: u32) -> (String, Vec<Bound>) {
    let mut conditions = conditions(dialect, filter);
    let limit = conditions.parameter(Bound::Int(i64::from(most)));
    let since = conditions.parameter(Bound::Int(filter.since.unwrap_or(i64::MIN)));
    let until = conditions.parameter(Bound::Int(filter.until.unwrap_or(i64::MAX)));
    let arrived_at = if are_few(filter) { "arrived_at + 0" } else { "arrived_at" };
    let sql = format!(
        "SELECT state, reason, tenant_id, COUNT(*) AS examined, \
         CAST(SUM(CASE WHEN shelved_at >= {since} AND shelved_at < {until} THEN 1 ELSE 0 END) AS BIGINT) AS n \
         FROM (SELECT state, reason, tenant_id, shelved_at FROM shelf {} ORDER BY {arrived_at} DESC, id DESC LIMIT {limit}) \
         AS newest GROUP BY state, reason, tenant_id ORDER BY state, reason, tenant_id",
        conditions.clause()
    );
    (sql, conditions.into_parameters())
}

fn place(row: &AnyRow) -> Result<Place, StoreError> {
    Ok((row.int("arrived_at")?, row.int("id")?))
}
