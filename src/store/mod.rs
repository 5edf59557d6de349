//! What is kept across crashes: the ledger, the connections, the shelf and the outbox.
//!
//! Invariant: no transaction is open while anything but the database is waited for.

pub mod accounts;
pub mod connections;
mod error;
pub mod folders;
mod group;
pub mod history;
mod late_checks;
pub mod ledger;
mod lock;
mod open;
pub mod outbox;
mod prune;
pub mod removal;
pub mod shelf;
mod sql;
mod storage;
#[cfg(test)]
mod tests;
pub mod unbound;
pub mod unfinished;
mod unreadable;

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool};

use self::sql::{Bound, Columns};
use crate::clock::Clock;
use crate::config;

pub use self::error::StoreError;
pub use self::lock::FileLock;
pub use self::open::Place;
pub use self::prune::Pruned;
pub use self::storage::Storage;
pub use self::unreadable::UnreadableRow;

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    readers: AnyPool,
    writers: AnyPool,
    clock: Clock,
    group: group::Group,
    unreadable: unreadable::UnreadableRows,
    made: bool,
}

/// What is written to find out whether there is room; a change is seldom larger.
const ROOM: usize = 1_000_000;

async fn try_for_room(conn: &mut PoolConnection<Any>) -> Result<(), StoreError> {
    let text = Bound::Text("x".repeat(ROOM));
    let sql = "INSERT INTO facts (name, value) VALUES ('room', $1) ON CONFLICT (name) DO UPDATE SET value = $1";
    sql::execute(conn, sql, vec![text]).await?;
    sql::execute(conn, "DELETE FROM facts WHERE name = 'room'", vec![]).await?;
    Ok(())
}

impl Store {
    /// Opens the store at `config.url`; with `create`, makes it if it is not there. Brings its tables up to date.
    ///
    /// The time is the database's where several workers share it, and `clock`'s otherwise.
    ///
    /// # Errors
    /// When it is missing, cannot be opened, or is of a newer version.
    pub async fn open(config: &config::Store, create: bool, clock: Clock) -> Result<Self, StoreError> {
        let open::Opened { dialect, readers, writers, clock, made } = open::open(config, create, clock).await?;
        let unreadable = unreadable::UnreadableRows::default();
        let group = group::Group::start(dialect, writers.clone(), clock.clone(), unreadable.clone());
        Ok(Self { readers, writers, clock, group, unreadable, made })
    }

    /// How many rows of each table this version could not read so far.
    pub fn unreadable_rows(&self) -> Vec<(&'static str, usize)> {
        self.unreadable.counts()
    }

    /// Whether there was no store before this one was opened.
    pub fn was_made(&self) -> bool {
        self.made
    }

    /// The store's clock.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// The time on the store's clock, in milliseconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// A connection to read by.
    async fn reading(&self) -> Result<PoolConnection<Any>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    /// A connection to read by, and the time, for what compares times.
    async fn reading_at(&self) -> Result<(PoolConnection<Any>, i64), StoreError> {
        let mut conn = self.reading().await?;
        let now = sql::time(&mut conn, &self.clock).await?;
        Ok((conn, now))
    }

    /// A connection to write by: to a file there is one, so that writers wait for each other in order.
    async fn writing(&self) -> Result<PoolConnection<Any>, StoreError> {
        Ok(self.writers.acquire().await?)
    }

    /// A connection to write by, and the time, for what stores times.
    async fn writing_at(&self) -> Result<(PoolConnection<Any>, i64), StoreError> {
        let mut conn = self.writing().await?;
        let now = sql::time(&mut conn, &self.clock).await?;
        Ok((conn, now))
    }

    /// Whether the store answers; and, if it had no room of late, whether it has some again.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let (mut conn, _) = self.reading_at().await?;
        sql::fetch(&mut conn, "SELECT 1 AS one", vec![]).await?;
        drop(conn);
        if self.group.had_no_room() {
            try_for_room(&mut self.writing().await?).await?;
            self.group.has_room();
        }
        Ok(())
    }

    /// How far the clock is behind what the store has seen; leases and pauses last that much longer.
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

    /// Returns how many panics of its own tasks were caught.
    pub fn panics(&self) -> u64 {
        self.group.panics()
    }

    /// Waits until one of its own tasks has ended although it was not closed, which is a defect: every change then
    /// fails with [`StoreError::Closed`].
    pub async fn broken(&self) {
        self.group.broken().await;
    }

    /// Finishes what was asked for and closes every connection.
    pub async fn close(&self) {
        self.group.close().await;
        self.readers.close().await;
        self.writers.close().await;
    }
}
