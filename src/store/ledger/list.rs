//! Lists batches and counts them, for operators.

use std::collections::{HashMap, HashSet};

use super::super::sql::{self, Bound, Columns, Conditions};
use super::super::{Store, StoreError};
use super::StoredBatch;
use super::read::{key_of, load, stored};
use crate::batch::ledger::BatchState;
use crate::batch::{BatchKey, TenantId};

/// Which batches are meant; a part left empty means all.
#[derive(Clone, Debug, Default)]
pub struct BatchFilter {
    /// Those of a tenant.
    pub tenant: Option<TenantId>,
    /// Those in a state.
    pub state: Option<BatchState>,
    /// Those whose first case was sent at or after a time, in milliseconds on the store's clock.
    pub since: Option<i64>,
    /// Those whose first case was sent before a time, likewise.
    pub until: Option<i64>,
}

/// The place of a batch in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchPlace {
    /// When its first case was sent, in milliseconds on the store's clock.
    pub first_seen_at: i64,
    /// Its key.
    pub key: BatchKey,
}

/// How many rows are read at once.
const PAGE: u32 = 500;

impl Store {
    /// Returns up to `most` batches after a place, those that arrived last first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batches(
        &self,
        filter: &BatchFilter,
        after: Option<&BatchPlace>,
        most: u32,
    ) -> Result<Vec<StoredBatch>, StoreError> {
        let all = usize::try_from(most).unwrap_or(usize::MAX);
        let (mut batches, mut after) = (Vec::new(), after.cloned());
        loop {
            let left = u32::try_from(all - batches.len()).unwrap_or(u32::MAX);
            let (page, next) = self.batches_page(filter, after.as_ref(), left.min(PAGE)).await?;
            batches.extend(page);
            after = next;
            if after.is_none() || batches.len() >= all {
                return Ok(batches);
            }
        }
    }

    /// Reads up to `most` batches after a place, those that arrived last first, and returns those that this version can read,
    /// with the place after which further ones may follow.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batches_page(
        &self,
        filter: &BatchFilter,
        after: Option<&BatchPlace>,
        most: u32,
    ) -> Result<(Vec<StoredBatch>, Option<BatchPlace>), StoreError> {
        let (sql, parameters) = list_statement(filter, after, most);
        let rows = sql::fetch(&mut *self.reading().await?, sql, parameters).await?;
        let is_full = rows.len() >= usize::try_from(most).unwrap_or(usize::MAX);
        let next = match rows.last().filter(|_| is_full) {
            Some(row) => Some(BatchPlace { first_seen_at: row.int("first_seen_at")?, key: key_of(row)? }),
            None => None,
        };
        Ok((self.unreadable.skip(rows.iter().map(stored))?, next))
    }

    /// Counts the latest `most` batches by state and tenant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batch_totals(
        &self,
        filter: &BatchFilter,
        most: u32,
    ) -> Result<Vec<(String, String, u64)>, StoreError> {
        let (sql, parameters) = totals_statement(filter, most);
        let rows = sql::fetch(&mut *self.reading().await?, sql, parameters).await?;
        rows.iter().map(|row| Ok((row.text("state")?, row.text("tenant_id")?, row.whole("n")?))).collect()
    }

    /// Returns those of some batches that are stored and can be read.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn batches_named(&self, keys: HashSet<&BatchKey>) -> Result<HashMap<BatchKey, StoredBatch>, StoreError> {
        let loaded = load(&mut *self.reading().await?, keys).await?;
        for row in loaded.unreadable.into_values() {
            self.unreadable.skip::<()>([Err(StoreError::Unreadable(row))])?;
        }
        Ok(loaded.stored)
    }
}

/// Returns the conditions of a filter. A state is named so that the index of the few batches in such states answers.
fn conditions(filter: &BatchFilter) -> Conditions {
    let text = |text: &str| Bound::Text(text.to_owned());
    // Few batches are open, while a tenant may have very many: those of the tenant are found among the open ones.
    let of_tenant = if filter.state == Some(BatchState::Open) { "tenant_id || '' =" } else { "tenant_id =" };
    let conditions = Conditions::default()
        .fixed("epoch > 0")
        .maybe(of_tenant, filter.tenant.as_ref().map(|tenant| text(tenant.as_str())))
        .maybe("state =", filter.state.map(|state| text(state.name())))
        .maybe("first_seen_at >=", filter.since.map(Bound::Int))
        .maybe("first_seen_at <", filter.until.map(Bound::Int));
    match filter.state {
        // In the words of the one index, so that the other is not taken.
        Some(BatchState::Partial | BatchState::Failed | BatchState::Discarded | BatchState::Undone)
            if filter.tenant.is_some() =>
        {
            conditions.fixed("state <> 'open' AND state <> 'delivered'")
        }
        Some(BatchState::Partial | BatchState::Failed | BatchState::Discarded | BatchState::Undone) => {
            conditions.fixed("state IN ('partial', 'failed', 'discarded', 'undone')")
        }
        Some(BatchState::Open) => conditions.fixed("settled_at IS NULL"),
        Some(BatchState::Delivered) | None => conditions,
    }
}

/// Returns the statement that reads up to `most` batches after a place, those that arrived last first.
pub(in crate::store) fn list_statement(
    filter: &BatchFilter,
    after: Option<&BatchPlace>,
    most: u32,
) -> (String, Vec<Bound>) {
    // One bound, as with two of them SQLite takes another index.
    let reached = after.map(|place| place.first_seen_at.saturating_add(1));
    let until = reached.into_iter().chain(filter.until).min();
    // Without any bound it sorts the whole table.
    let until = until.or(filter.since.is_none().then_some(i64::MAX));
    let mut conditions = conditions(&BatchFilter { until, ..filter.clone() });
    if let Some(BatchPlace { first_seen_at, key }) = after {
        let at = conditions.parameter(Bound::Int(*first_seen_at));
        let tenant = conditions.parameter(Bound::Text(key.tenant.as_str().to_owned()));
        let batch = conditions.parameter(Bound::Text(key.batch.as_str().to_owned()));
        conditions =
            conditions.fixed(&format!("(first_seen_at < {at} OR (tenant_id, batch_id) < ({tenant}, {batch}))"));
    }
    let limit = conditions.parameter(Bound::Int(i64::from(most)));
    let order = "first_seen_at DESC, tenant_id DESC, batch_id DESC";
    let sql = format!("SELECT * FROM batches {} ORDER BY {order} LIMIT {limit}", conditions.clause());
    (sql, conditions.into_parameters())
}

/// Returns the statement that counts the latest `most` batches by state and tenant.
pub(in crate::store) fn totals_statement(filter: &BatchFilter, most: u32) -> (String, Vec<Bound>) {
    let mut conditions = conditions(filter);
    let limit = conditions.parameter(Bound::Int(i64::from(most)));
    let sql = format!(
        "SELECT state, tenant_id, COUNT(*) AS n FROM (SELECT state, tenant_id FROM batches {} \
         ORDER BY first_seen_at DESC LIMIT {limit}) AS latest GROUP BY state, tenant_id ORDER BY state, tenant_id",
        conditions.clause()
    );
    (sql, conditions.into_parameters())
}
