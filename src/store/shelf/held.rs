//! Finds what waits for a person under a connection that works: a batch whose own folder is missing, for example.

use std::collections::HashMap;

use serde_json::{Value, json};
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{Store, StoreError};
use crate::batch::{Reason, TenantId};

/// Of one tenant at most so many rows are read.
const MOST_READ: u32 = 1_001;

/// How many tenants are asked for by one statement.
const AT_ONCE: usize = 100;

/// Batches of a tenant that wait for a person although the tenant's connection works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Why they wait.
    pub reason: Reason,
    /// How many there are; counted among a thousand.
    pub batches: usize,
}

/// What was shelved with the present version of a connection since that was verified.
const HELD: &str = "JOIN shelf ON shelf.tenant_id = c.tenant_id AND c.verified_version = c.version \
    AND shelf.state = 'parked' AND shelf.waits_for = 'connection' AND shelf.connection = c.version \
    AND shelf.shelved_at >= c.verified_at";

/// Counts what of a tenant is held, by a range of an index: verifying the connection again has it tried.
pub(in crate::store) fn held_statement() -> String {
    format!(
        "SELECT reason, COUNT(*) AS n FROM (SELECT shelf.reason AS reason FROM connections c {HELD} \
         WHERE c.tenant_id = $1 LIMIT {MOST_READ}) AS held GROUP BY reason ORDER BY reason"
    )
}

/// Finds those of some tenants that have something held.
pub(in crate::store) fn holders_statement(dialect: Dialect) -> String {
    format!(
        "SELECT r.tenant AS tenant FROM {} WHERE EXISTS (SELECT 1 FROM connections c {HELD} WHERE c.tenant_id = r.tenant)",
        dialect.rows(&[("tenant", Kind::Text)])
    )
}

impl Store {
    /// Returns what waits for a person under a connection that works, by reason.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn held_of(&self, tenant: &TenantId) -> Result<Vec<Held>, StoreError> {
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, held_statement(), vec![Bound::Text(tenant.as_str().into())]).await?;
        let held = |row: &AnyRow| -> Result<Option<Held>, StoreError> {
            let (reason, batches) = (row.text("reason")?, row.whole("n")?);
            Ok(reason.parse().ok().map(|reason| Held { reason, batches }))
        };
        rows.iter().filter_map(|row| held(row).transpose()).collect()
    }

    /// Returns what of some tenants waits for a person under a connection that works; tenants of which nothing does are left
    /// out.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn held_of_each(&self, tenants: &[&TenantId]) -> Result<HashMap<TenantId, Vec<Held>>, StoreError> {
        let mut held = HashMap::new();
        for tenants in tenants.chunks(AT_ONCE) {
            let names: Vec<Value> = tenants.iter().map(|tenant| json!({"tenant": tenant.as_str()})).collect();
            let mut conn = self.reading().await?;
            let sql = holders_statement(Dialect::of(&conn));
            let holders = sql::fetch(&mut conn, sql, vec![Bound::from(names.as_slice())]).await?;
            drop(conn);
            for row in holders {
                let tenant = TenantId::new(&row.text("tenant")?).map_err(|_| StoreError::malformed("tenant"))?;
                let of_tenant = self.held_of(&tenant).await?;
                held.insert(tenant, of_tenant);
            }
        }
        Ok(held)
    }
}
