//! Keeps what was known of cases before they were written, until it is checked whether an edit by a person was overwritten.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::AnyConnection;

use super::ledger::WindowStep;
use super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::{Store, StoreError};
use crate::batch::{BatchId, BatchKey, TenantId};

/// How long what is kept of a batch that is worked on waits at least, until somebody asks again whether it is due.
pub const LEAST_POSTPONED: Duration = Duration::from_secs(1);
/// And at most, however long the batch is open.
pub const MOST_POSTPONED: Duration = Duration::from_secs(15 * 60);
/// Which part of its age it waits: the sooner a batch is finished, the sooner its cases are checked.
pub const POSTPONED_BY: u32 = 4;
/// How many claims are postponed by one statement.
const MOST_AT_ONCE: u32 = 1_000;

/// What is asked about cases that were written. They are stored by [`Commit::window`](super::ledger::Commit).
#[async_trait]
pub trait WindowStore: Send + Sync {
    /// Takes what is kept of up to `most` batches that are not open and that nobody works on, those that are due first.
    ///
    /// Each is given to one caller for `lease`. It is due again after that, unless it was removed. What is kept of other batches
    /// is postponed by a part of its age, from [`LEAST_POSTPONED`] to [`MOST_POSTPONED`], so that batches that stay open for days cost
    /// little.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn take_windows(&self, lease: Duration, most: u32) -> Result<Vec<DueWindows>, StoreError>;
}

/// What is kept of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueWindows {
    /// The batch.
    pub batch: BatchKey,
    /// When the first of its claims was stored, in milliseconds on the store's clock.
    pub since: i64,
    /// What is kept of each claim, by the epoch of the record, in this order.
    pub claims: Vec<(u64, Vec<u8>)>,
}

#[async_trait]
impl WindowStore for Store {
    async fn take_windows(&self, lease: Duration, most: u32) -> Result<Vec<DueWindows>, StoreError> {
        if !self.has_due_windows().await? {
            return Ok(Vec::new());
        }
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let bounds = vec![Bound::Int(now), Bound::Int(now.saturating_add(ms(lease))), Bound::Int(i64::from(most))];
        let sql = take_statement(Dialect::of(conn));
        let first = sql::fetch(conn, sql, bounds).await?;
        let mut due = Vec::with_capacity(first.len());
        for row in &first {
            let tenant = TenantId::new(&row.text("tenant_id")?).map_err(|_| StoreError::malformed("tenant_id"))?;
            let batch = BatchId::new(&row.text("batch_id")?).map_err(|_| StoreError::malformed("batch_id"))?;
            let batch = BatchKey::new(tenant, batch);
            let claims = claims_of(conn, &batch).await?;
            due.push(DueWindows { batch, since: row.int("opened_at")?, claims });
        }
        let sql = postpone_statement(Dialect::of(conn));
        sql::execute(conn, sql, vec![Bound::Int(now), Bound::Int(ms(LEAST_POSTPONED)), Bound::Int(ms(MOST_POSTPONED))])
            .await?;
        transaction.commit().await?;
        Ok(due)
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Store {
    /// Returns whether anything may be due: most stores have nothing, and need not be written to then.
    async fn has_due_windows(&self) -> Result<bool, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let sql = "SELECT epoch FROM write_windows WHERE look_after <= $1 ORDER BY look_after LIMIT 1";
        Ok(!sql::fetch(&mut conn, sql, vec![Bound::Int(now)]).await?.is_empty())
    }
}

/// The statement that takes the first claim of up to `$3` batches that are due at `$1`, until `$2`.
fn take_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE write_windows SET look_after = $2 WHERE (tenant_id, batch_id, epoch) IN (\
         SELECT f.tenant_id, f.batch_id, f.epoch FROM write_windows f WHERE f.look_after <= $1 \
         AND NOT EXISTS (SELECT 1 FROM write_windows e WHERE e.tenant_id = f.tenant_id AND e.batch_id = f.batch_id \
         AND e.epoch < f.epoch) \
         AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.tenant_id = f.tenant_id AND b.batch_id = f.batch_id \
         AND (b.state = 'open' OR b.lease_until > $1)) ORDER BY f.look_after LIMIT $3 {}) \
         RETURNING tenant_id, batch_id, opened_at",
        dialect.skip_taken()
    )
}

/// The statement that postpones what is kept of batches that are worked on and that would be due at `$1`, by a part of its age:
/// at least `$2` and at most `$3` milliseconds.
fn postpone_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE write_windows SET look_after = $1 + CASE WHEN ($1 - opened_at) / {POSTPONED_BY} < $2 THEN $2 \
         WHEN ($1 - opened_at) / {POSTPONED_BY} > $3 THEN $3 ELSE ($1 - opened_at) / {POSTPONED_BY} END \
         WHERE (tenant_id, batch_id, epoch) IN (\
         SELECT f.tenant_id, f.batch_id, f.epoch FROM write_windows f WHERE f.look_after <= $1 \
         AND EXISTS (SELECT 1 FROM batches b WHERE b.tenant_id = f.tenant_id AND b.batch_id = f.batch_id \
         AND (b.state = 'open' OR b.lease_until > $1)) ORDER BY f.look_after LIMIT {MOST_AT_ONCE} {})",
        dialect.skip_taken()
    )
}

async fn claims_of(conn: &mut AnyConnection, batch: &BatchKey) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let sql = "SELECT epoch, body FROM write_windows WHERE tenant_id = $1 AND batch_id = $2 ORDER BY epoch";
    let bounds = vec![Bound::Text(batch.tenant.as_str().to_owned()), Bound::Text(batch.batch.as_str().to_owned())];
    let rows = sql::fetch(conn, sql, bounds).await?;
    rows.iter().map(|row| Ok((row.whole("epoch")?, row.blob("body")?))).collect()
}

/// Stores a change of what is kept, in the change of the batch that it goes with.
pub(super) async fn store(conn: &mut AnyConnection, now: i64, step: &WindowStep) -> Result<(), StoreError> {
    for (epoch, body) in &step.claims {
        let epoch = i64::try_from(*epoch).unwrap_or(i64::MAX);
        let mut bounds = vec![
            Bound::Text(step.batch.tenant.as_str().to_owned()),
            Bound::Text(step.batch.batch.as_str().to_owned()),
            Bound::Int(epoch),
        ];
        let sql = match body {
            None => "DELETE FROM write_windows WHERE tenant_id = $1 AND batch_id = $2 AND epoch = $3",
            Some(body) => {
                bounds.extend([Bound::Int(now), Bound::Blob(body.clone().into())]);
                "INSERT INTO write_windows (tenant_id, batch_id, epoch, opened_at, look_after, body) \
                 VALUES ($1, $2, $3, $4, $4, $5) \
                 ON CONFLICT (tenant_id, batch_id, epoch) DO UPDATE SET body = excluded.body"
            }
        };
        sql::execute(conn, sql, bounds).await?;
    }
    Ok(())
}
