//! Reports whether the store works and what time it is there.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, Connection};
use tokio::time::Instant;

use super::lock_wait::{LOCK_WAIT, wait_for_lock};
use super::sql::{self, Bound, Columns, Dialect};
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

    /// Checks that the store answers and can be written. That it can be written is tried only where the latest try
    /// failed, or no change was stored for 30 s; and if the store had no room, whether it has some again.
    ///
    /// # Errors
    /// When the store does not answer or cannot be written: the cause.
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

/// How long a stored change proves that the store can be written.
const PROVEN_FOR: Duration = Duration::from_secs(30);
/// How long reading may take.
const READ_WAIT: Duration = Duration::from_secs(3);
/// How long a connection may take that shows why reading takes longer.
const CAUSE_WAIT: Duration = Duration::from_millis(1_500);
/// How long a proof waits for its turn, and as long again for another program that writes to the file.
const PROOF_WAIT: Duration = Duration::from_secs(2);
/// The name of the fact that a proof stores.
const PROOF: &str = "written_at";

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
        let reading = async {
            let (mut conn, _) = self.reading_at().await?;
            sql::fetch(&mut conn, "SELECT 1 AS one", vec![]).await.map(drop)
        };
        match tokio::time::timeout(READ_WAIT, reading).await {
            Ok(read) => read?,
            Err(_) => return Err(self.why_silent().await),
        }
        let written = self.group.written();
        if self.group.had_no_room() {
            try_for_room(&mut self.writing().await?).await?;
            self.group.has_room();
            written.note(Ok(()), Instant::now());
        } else if written.is_doubtful(PROVEN_FOR, Instant::now()) {
            let proof = self.prove_written().await;
            written.note(proof.as_ref().map(drop), Instant::now());
            proof?;
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
        if let Some(file) = &self.file {
            file.close().await;
        }
    }

    fn panics(&self) -> u64 {
        self.group.panics()
    }

    async fn broken(&self) {
        self.group.broken().await;
    }
}

impl Store {
    /// Returns why nothing could be read: the pool waits for a database that refuses, and does not report why.
    async fn why_silent(&self) -> StoreError {
        let options = self.readers.connect_options();
        match tokio::time::timeout(CAUSE_WAIT, AnyConnection::connect_with(&options)).await {
            Ok(Err(error)) => error.into(),
            Ok(Ok(_)) | Err(_) => StoreError::Away(format!("nothing could be read for {READ_WAIT:?}")),
        }
    }

    /// Stores a small change.
    async fn prove_written(&self) -> Result<(), StoreError> {
        let Ok(conn) = tokio::time::timeout(PROOF_WAIT, self.writing()).await else {
            // Who has the connection waits itself, for the cause that is known if it failed before.
            let unknown = || StoreError::Away(format!("nothing could be written for {PROOF_WAIT:?}"));
            return Err(self.group.written().failure().unwrap_or_else(unknown));
        };
        let mut conn = conn?;
        if !Dialect::of(&conn).is_shared() {
            wait_for_lock(&mut conn, PROOF_WAIT).await?;
        }
        let sql = "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
        let fact = vec![Bound::Text(PROOF.into()), Bound::Text(self.now().to_string())];
        let proof = sql::execute(&mut conn, sql, fact).await;
        if !Dialect::of(&conn).is_shared() {
            wait_for_lock(&mut conn, LOCK_WAIT).await?;
        }
        proof.map(drop)
    }

    /// Returns how far the clock is behind the latest time that is stored; leases and pauses last that much longer. The
    /// times are those at the ends of indexes, whatever the size of the store.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn clock_lag(&self) -> Result<Duration, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let rows = sql::fetch(&mut conn, LATEST_TIMES, vec![]).await?;
        let seen = rows.first().map_or(Ok(None), |row| row.maybe_int("at"))?.unwrap_or(i64::MIN);
        Ok(Duration::from_millis(u64::try_from(seen.saturating_sub(now)).unwrap_or(0)))
    }
}

/// Reads the latest time at which a batch was first claimed, an event was stored, or something was shelved.
pub(super) const LATEST_TIMES: &str = "SELECT MAX(at) AS at FROM (SELECT MAX(first_seen_at) AS at FROM batches \
    UNION ALL SELECT MAX(created_at) FROM outbox \
    UNION ALL SELECT shelved_at FROM shelf WHERE id = (SELECT MAX(id) FROM shelf)) AS seen";
