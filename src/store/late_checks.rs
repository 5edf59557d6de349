//! For which batches is there one more look into Testmo? Those whose cases were sent again after an unclear end, and
//! have arrived.

use std::time::Duration;

use super::ledger::{Stored, stored};
use super::sql::{self, Bound, Dialect};
use super::{Store, StoreError};

impl Store {
    /// Takes up to `most` batches that were settled at least `after` ago, and whose cases may have turned up once more;
    /// nobody else is given them for `lease`, after which they are due again unless
    /// [`late_checked`](crate::batch::ledger::BatchRecord::late_checked) was stored.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn take_late_checks(
        &self,
        after: Duration,
        lease: Duration,
        most: u32,
    ) -> Result<Vec<Stored>, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT tenant_id AS due_tenant, batch_id AS due_batch FROM batches \
             WHERE late_since IS NOT NULL AND state IN ('delivered', 'partial') AND settled_at <= $1 \
             AND COALESCE(look_after, 0) <= $2 ORDER BY settled_at LIMIT $4 {}) \
             UPDATE batches SET look_after = $3 FROM due WHERE tenant_id = due_tenant AND batch_id = due_batch \
             RETURNING *",
            Dialect::of(&conn).skip_taken()
        );
        let bounds = vec![
            Bound::Int(now.saturating_sub(ms(after))),
            Bound::Int(now),
            Bound::Int(now.saturating_add(ms(lease))),
            Bound::Int(i64::from(most)),
        ];
        self.unreadable.skip(sql::fetch(&mut conn, sql, bounds).await?.iter().map(stored))
    }
}
