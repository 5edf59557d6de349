//! Reports whether the store works and what time it is there.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Any;
use sqlx::pool::PoolConnection;

use super::sql::{self, Bound, Columns};
use super::{Store, StoreError};
use crate::clock::Clock;

/// The store's clock and condition.
#[async_trait]
pub trait StoreHealth: Debug + Send + Sync {
    /// Returns the store's clock: the database's where several workers share it.
    fn clock(&self) -> Clock;

    /// Returns the time on the store's clock, in milliseconds since 1970.
    fn now(&self) -> i64 {
        self.clock().now()
    }

    /// Checks that the store answers and, if it had no room before, that it has some again.
    ///
    /// # Errors
    /// When the store does not answer or still has no room.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Returns how many rows of each table this version could not read so far. A store in memory has none.
    fn unreadable_rows(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }

    /// Completes what was requested and closes every connection. Later requests fail with [`StoreError::Closed`].
    async fn close(&self);

    /// Returns how many panics the store's own tasks have caught.
    fn panics(&self) -> u64 {
        0
    }

    /// Waits until one of the store's own tasks has ended although the store was not closed. That is a defect: every
    /// claim and commit then fails with [`StoreError::Closed`].
    async fn broken(&self) {
        std::future::pending().await
    }
}

/// The size of the value that tests whether there is room, in bytes; a change is seldom larger.
const ROOM: usize = 1_000_000;

async fn try_for_room(conn: &mut PoolConnection<Any>) -> Result<(), StoreError> {
    let text = Bound::Text("x".repeat(ROOM));
    let sql = "INSERT INTO facts (name, value) VALUES ('room', $1) ON CONFLICT (name) DO UPDATE SET value = $1";
    sql::execute(conn, sql, vec![text]).await?;
    sql::execute(conn, "DELETE FROM facts WHERE name = 'room'", vec![]).await?;
    Ok(())
}

#[async_trait]
impl StoreHealth for Store {
    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let (mut conn, _) = self.reading_at().await?;
        sql::fetch(&mut conn, "SELECT 1 AS one", vec![]).await?;
        drop(conn);
        if self.group.had_no_room() {
            try_for_room(&mut self.writing().await?).await?;
            self.group.has_room();
        }
        Ok(())
    }

    fn unreadable_rows(&self) -> Vec<(&'static str, usize)> {
        self.unreadable.counts()
    }

    async fn close(&self) {
        self.group.close().await;
        self.readers.close().await;
        self.writers.close().await;
    }

    fn panics(&self) -> u64 {
        self.group.panics()
    }

    async fn broken(&self) {
        self.group.broken().await;
    }
}

impl Store {
    /// Returns how far the clock is behind the latest time that is stored; leases and pauses last that much longer.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn clock_lag(&self) -> Result<Duration, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let sql = "SELECT MAX(at) AS at FROM (SELECT MAX(claimed_at) AS at FROM batches UNION ALL \
                   SELECT MAX(shelved_at) FROM shelf UNION ALL SELECT MAX(created_at) FROM outbox) AS seen";
        let rows = sql::fetch(&mut conn, sql, vec![]).await?;
        let seen = rows.first().map_or(Ok(None), |row| row.maybe_int("at"))?.unwrap_or(i64::MIN);
        Ok(Duration::from_millis(u64::try_from(seen.saturating_sub(now)).unwrap_or(0)))
    }
}
