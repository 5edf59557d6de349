//! Begins, commits and undoes transactions.

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe};

use super::super::StoreError;
use super::{Bound, Dialect, POSTGRES_TIME, execute, in_time, lead};
use crate::clock::Clock;

/// A transaction that changes something. One that is dropped takes its connection with it, and so is undone.
pub(in crate::store) struct Transaction {
    conn: Option<PoolConnection<Any>>,
    /// When it began, in milliseconds on the store's clock.
    pub(in crate::store) now: i64,
}

impl Transaction {
    /// Begins one on a connection of a pool.
    pub(in crate::store) async fn begin(pool: &AnyPool, clock: &Clock) -> Result<Self, StoreError> {
        Self::begin_on(pool.acquire().await?, clock, false).await
    }

    /// Begins one; on PostgreSQL the same message also fetches the time. Where the server may lose it in a crash, as it
    /// only saves work, its commit does not wait for the disk.
    pub(in crate::store) async fn begin_on(
        conn: PoolConnection<Any>,
        clock: &Clock,
        may_be_lost: bool,
    ) -> Result<Self, StoreError> {
        let dialect = Dialect::of(&conn);
        let mut begun = Self { conn: Some(conn), now: 0 };
        begun.now = match dialect {
            Dialect::Sqlite => {
                execute(begun.conn()?, "BEGIN IMMEDIATE", vec![]).await?;
                clock.now()
            }
            Dialect::Postgres => {
                let how = if may_be_lost { "SET LOCAL synchronous_commit = off; " } else { "" };
                let both = sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {how}{POSTGRES_TIME}")));
                lead(clock, &in_time(both.fetch_all(begun.conn()?)).await?)?
            }
        };
        Ok(begun)
    }

    /// Its connection.
    pub(in crate::store) fn conn(&mut self) -> Result<&mut AnyConnection, StoreError> {
        self.conn.as_deref_mut().ok_or(StoreError::Closed)
    }

    /// Makes what was done in it last. After an error it may last or not.
    pub(in crate::store) async fn commit(self) -> Result<(), StoreError> {
        self.commit_and_go_on().await.map(drop)
    }

    /// Makes it last, as [`Self::commit`] does, and gives the connection back: a pool tries each that it takes back,
    /// which is a round trip.
    pub(in crate::store) async fn commit_and_go_on(self) -> Result<PoolConnection<Any>, StoreError> {
        self.end("COMMIT").await
    }

    /// Undoes it and keeps the connection.
    pub(in crate::store) async fn roll_back(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await.map(drop)
    }

    async fn end(mut self, how: &'static str) -> Result<PoolConnection<Any>, StoreError> {
        execute(self.conn()?, how, vec![]).await?;
        self.conn.take().ok_or(StoreError::Closed)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            drop(conn.detach());
        }
    }
}

/// Keeps other replicas that ask for the same `turn` waiting until this transaction ends.
pub(in crate::store) async fn take_turns(conn: &mut AnyConnection, turn: i64) -> Result<(), StoreError> {
    if Dialect::of(conn).is_shared() {
        execute(conn, "SELECT pg_advisory_xact_lock($1)", vec![Bound::Int(turn)]).await?;
    }
    Ok(())
}
