//! Counts what was delivered lately.

use super::super::sql::{self, Bound, Columns};
use super::super::{Store, StoreError};
use crate::batch::TenantId;

/// How many batches were delivered since a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveredSince {
    /// How many.
    pub batches: u64,
    /// Whether all are counted; otherwise only the latest ones are.
    pub is_all: bool,
}

/// Returns the statement that counts delivered batches among the latest `most` that were finished since a time.
pub(in crate::store) fn recent_statement(since: i64, tenant: Option<&TenantId>, most: u32) -> (String, Vec<Bound>) {
    let mut bounds = vec![Bound::Int(since), Bound::Int(i64::from(most))];
    let own = tenant.map_or("", |tenant| {
        bounds.push(Bound::Text(tenant.as_str().to_owned()));
        " AND tenant_id = $3"
    });
    let sql = format!(
        "SELECT COUNT(*) AS n, COUNT(CASE WHEN state = 'delivered'{own} THEN 1 END) AS delivered FROM (SELECT state, \
         tenant_id FROM batches WHERE settled_at IS NOT NULL AND pruned_at IS NULL AND settled_at >= $1 \
         ORDER BY settled_at DESC LIMIT $2) AS latest"
    );
    (sql, bounds)
}

impl Store {
    /// Counts the batches that were delivered since a time, of one tenant or of all, among the latest `most` that were
    /// finished.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn delivered_since(
        &self,
        since: i64,
        tenant: Option<&TenantId>,
        most: u32,
    ) -> Result<DeliveredSince, StoreError> {
        let (sql, bounds) = recent_statement(since, tenant, most.saturating_add(1));
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        let Some(row) = rows.first() else { return Ok(DeliveredSince::default()) };
        let finished: u64 = row.whole("n")?;
        let batches: u64 = row.whole("delivered")?;
        Ok(DeliveredSince { batches: batches.min(u64::from(most)), is_all: finished <= u64::from(most) })
    }
}
