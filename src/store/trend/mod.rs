//! Keeps how many batches were delivered, failed and waited, in coarse steps of time.
//!
//! A worker adds what it has counted once in a step, so that the trend costs nothing for each batch. A worker that ends
//! without order loses what it has counted since its last step.

mod model;

use async_trait::async_trait;

use super::sql::{self, Bound, Columns, Transaction};
use super::{Store, StoreError};

pub use self::model::{Addition, Counts, TrendStep, Width};

/// Remembers what workers counted.
#[async_trait]
pub trait TrendStore: Send + Sync {
    /// Adds what a worker has counted to the steps in which its time lies; nothing if this addition, or a later one of the
    /// worker, was added before.
    ///
    /// # Errors
    /// When the store does not answer; it was added or not, and may be added again.
    async fn add_to_trend(&self, addition: &Addition) -> Result<(), StoreError>;

    /// Returns the steps of a width that began at `since` or later, in order. Steps in which no worker counted are left out.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn trend(&self, width: Width, since: i64) -> Result<Vec<TrendStep>, StoreError>;

    /// Removes the steps that are older than they are kept, and returns how many.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn forget_trend(&self) -> Result<u64, StoreError>;
}

/// Notes an addition, unless it was noted before.
const NOTE: &str = "INSERT INTO trend_sources (source, number, added_at) VALUES ($1, $2, $3) ON CONFLICT (source) DO UPDATE \
                    SET number = excluded.number, added_at = excluded.added_at WHERE trend_sources.number < excluded.number";

/// Adds to a fine and a coarse step. Each replica changes the fine one first, so that none waits for another in a circle.
const ADD: &str = "INSERT INTO trend (width, began_at, delivered, failed, waiting) \
                   VALUES ($1, $2, $5, $6, $7), ($3, $4, $5, $6, $7) ON CONFLICT (width, began_at) DO UPDATE SET \
                   delivered = trend.delivered + excluded.delivered, failed = trend.failed + excluded.failed, \
                   waiting = CASE WHEN excluded.waiting > trend.waiting THEN excluded.waiting ELSE trend.waiting END";

const READ: &str = "SELECT began_at, delivered, failed, waiting FROM trend WHERE width = $1 AND began_at >= $2 \
                    ORDER BY began_at";

#[async_trait]
impl TrendStore for Store {
    async fn add_to_trend(&self, addition: &Addition) -> Result<(), StoreError> {
        let Addition { source, number, at, counts } = addition;
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let note = vec![Bound::Text(source.clone()), count(*number), Bound::Int(transaction.now)];
        if sql::execute(transaction.conn()?, NOTE, note).await? == 0 {
            return transaction.roll_back().await;
        }
        let mut bounds: Vec<Bound> =
            Width::ALL.iter().flat_map(|width| [Bound::Int(width.ms()), Bound::Int(width.begin_of(*at))]).collect();
        bounds.extend([counts.delivered, counts.failed, counts.waiting].map(count));
        sql::execute(transaction.conn()?, ADD, bounds).await?;
        transaction.commit().await
    }

    async fn trend(&self, width: Width, since: i64) -> Result<Vec<TrendStep>, StoreError> {
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, READ, vec![Bound::Int(width.ms()), Bound::Int(since)]).await?;
        let steps = rows.iter().map(|row| {
            let count = |column: &str| row.int(column).map(|number| u64::try_from(number).unwrap_or(0));
            let counts =
                Counts { delivered: count("delivered")?, failed: count("failed")?, waiting: count("waiting")? };
            Ok(TrendStep { began_at: row.int("began_at")?, counts })
        });
        steps.collect()
    }

    async fn forget_trend(&self) -> Result<u64, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let mut forgotten = 0;
        for width in Width::ALL {
            let bounds = vec![Bound::Int(width.ms()), Bound::Int(now.saturating_sub(width.kept_ms()))];
            let sql = "DELETE FROM trend WHERE width = $1 AND began_at < $2";
            forgotten += sql::execute(&mut conn, sql, bounds).await?;
        }
        let bounds = vec![Bound::Int(now.saturating_sub(Width::Coarse.kept_ms()))];
        sql::execute(&mut conn, "DELETE FROM trend_sources WHERE added_at < $1", bounds).await?;
        Ok(forgotten)
    }
}

fn count(number: u64) -> Bound {
    Bound::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
