//! Finds what waits for a person under a connection that works: a batch whose own folder is missing, for example.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns};
use super::super::{Store, StoreError};
use crate::batch::{Reason, TenantId};

/// Of one tenant at most so many rows are read.
const MOST_READ: u32 = 1_001;

/// Batches of a tenant that wait for a person although the tenant's connection works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Why they wait.
    pub reason: Reason,
    /// How many there are; counted among a thousand.
    pub batches: usize,
}

/// Finds what was shelved with the present version of a connection since that was verified, by a range of an index: verifying
/// the connection again has it tried.
pub(in crate::store) fn held_statement() -> String {
    format!(
        "SELECT reason, COUNT(*) AS n FROM (SELECT shelf.reason AS reason FROM connections c JOIN shelf \
         ON shelf.tenant_id = c.tenant_id WHERE c.tenant_id = $1 AND c.verified_version = c.version \
         AND shelf.state = 'parked' AND shelf.waits_for = 'connection' AND shelf.connection = c.version \
         AND shelf.shelved_at >= c.verified_at LIMIT {MOST_READ}) AS held GROUP BY reason ORDER BY reason"
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
}
