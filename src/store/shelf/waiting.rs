//! Counts what is retried automatically, by tenant and up to a bound.

use std::collections::HashMap;

use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{Store, StoreError};
use crate::batch::TenantId;

/// Of one tenant at most so many rows are counted.
const MOST_COUNTED: usize = 10_000;

/// How many tenants are counted by one statement.
const AT_ONCE: usize = 100;

/// What of a tenant is retried automatically.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many batches; of more than ten thousand, ten thousand.
    pub batches: usize,
    /// Whether there are more.
    pub is_more: bool,
    /// When the oldest of them arrived, in milliseconds on the store's clock.
    pub since: Option<i64>,
}

/// Returns the statement that counts for some tenants, by ranges of an index that is in the order of arrival.
pub(in crate::store) fn waiting_statement(dialect: Dialect) -> String {
    let of_tenant = "FROM shelf WHERE tenant_id = r.tenant AND state = 'parked'";
    format!(
        "SELECT r.tenant AS tenant, (SELECT COUNT(*) FROM (SELECT 1 AS one {of_tenant} LIMIT {}) AS counted) AS n, \
         (SELECT MIN(arrived_at) {of_tenant}) AS since FROM {}",
        MOST_COUNTED + 1,
        dialect.rows(&[("tenant", Kind::Text)])
    )
}

impl Store {
    /// Counts the batches of a tenant that are retried automatically, and says when the oldest arrived.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn waiting_of(&self, tenant: &TenantId) -> Result<Waiting, StoreError> {
        Ok(self.waiting_of_each(&[tenant]).await?.remove(tenant).unwrap_or_default())
    }

    /// Counts the batches of some tenants that are retried automatically, and says when the oldest of each arrived.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn waiting_of_each(&self, tenants: &[&TenantId]) -> Result<HashMap<TenantId, Waiting>, StoreError> {
        let mut waiting = HashMap::with_capacity(tenants.len());
        for tenants in tenants.chunks(AT_ONCE) {
            let names: Vec<Value> = tenants.iter().map(|tenant| json!({"tenant": tenant.as_str()})).collect();
            let mut conn = self.reading().await?;
            let sql = waiting_statement(Dialect::of(&conn));
            for row in sql::fetch(&mut conn, sql, vec![Bound::from(names.as_slice())]).await? {
                let tenant = TenantId::new(&row.text("tenant")?).map_err(|_| StoreError::malformed("tenant"))?;
                waiting.insert(tenant, counted(&row)?);
            }
        }
        Ok(waiting)
    }
}

fn counted(row: &AnyRow) -> Result<Waiting, StoreError> {
    let batches: usize = row.whole("n")?;
    let since = row.maybe_int("since")?;
    Ok(Waiting { batches: batches.min(MOST_COUNTED), is_more: batches > MOST_COUNTED, since })
}
