//! Examines a store without changing it: opens it to read, compares its tables with this version, and reads how old its
//! oldest finished batch is.

use std::time::Duration;

use super::instances::Instance;
use super::migrations::TablesState;
use super::open;
use super::preparing;
use super::prune::unpruned_batches;
use super::sql::{self, Bound, Columns, Dialect};
use super::{Store, StoreError};
use crate::clock::Clock;
use crate::config;

/// The most finished batches that are examined for how far pruning is behind.
const MOST_EXAMINED: i64 = 500;
/// The most instances of workers that are read.
const MOST_INSTANCES: i64 = 100;

/// A worker that the store remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWorker {
    /// Its name.
    pub name: String,
    /// The version of its latest process, if that one noted it.
    pub version: Option<String>,
    /// When that process began to work, in milliseconds on the store's clock.
    pub started_at: i64,
    /// Whether it has not ended in order.
    pub is_running: bool,
}

impl Store {
    /// Opens a store to read it: nothing is created, migrated or changed, and requests that change something fail.
    ///
    /// # Errors
    /// When there is no store, or it cannot be opened.
    pub async fn open_to_read(config: &config::Store, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self::of(open::open_to_read(config, clock).await?))
    }

    /// Compares the tables with those of this version.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tables_state(&self) -> Result<TablesState, StoreError> {
        let mut conn = self.reading().await?;
        preparing::tables_state(&mut conn).await
    }

    /// Returns the version of the database.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn database_version(&self) -> Result<String, StoreError> {
        let mut conn = self.reading().await?;
        let sql = match Dialect::of(&conn) {
            Dialect::Sqlite => "SELECT 'SQLite ' || sqlite_version() AS version",
            Dialect::Postgres => "SELECT 'PostgreSQL ' || current_setting('server_version') AS version",
        };
        let rows = sql::fetch(&mut conn, sql, vec![]).await?;
        rows.first().map_or(Err(StoreError::malformed("version")), |row| row.text("version"))
    }

    /// Returns by how much the oldest of the batches that could be pruned is older than the retention; nothing if none is.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn unpruned_for(&self, retention: Duration) -> Result<Option<Duration>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let before = now.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let bounds = vec![
            Bound::Int(before),
            Bound::Int(MOST_EXAMINED),
            Bound::Int(i64::MIN),
            Bound::Text(String::new()),
            Bound::Text(String::new()),
        ];
        for row in &sql::fetch(&mut conn, unpruned_batches(), bounds).await? {
            if row.int("is_over")? == 1 {
                let behind = before.saturating_sub(row.int("settled_at")?);
                return Ok(Some(Duration::from_millis(u64::try_from(behind).unwrap_or(0))));
            }
        }
        Ok(None)
    }

    /// Returns the workers that the store remembers, the latest first. What another version wrote may lack a version.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn known_workers(&self) -> Result<Vec<KnownWorker>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT name, state, started_at FROM instances ORDER BY started_at DESC, name LIMIT $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Int(MOST_INSTANCES)]).await?;
        let worker = |row: &sqlx::any::AnyRow| {
            let instance: Instance = serde_json::from_str(&row.text("state")?).unwrap_or_else(|_| Instance::unknown());
            Ok(KnownWorker {
                name: row.text("name")?,
                version: instance.version().map(Into::into),
                started_at: row.int("started_at")?,
                is_running: instance.is_running(),
            })
        };
        rows.iter().map(worker).collect()
    }

    /// Returns how far the store's clock is ahead of another one, in milliseconds. A file has the time of its machine.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn ahead_of(&self, other: &Clock) -> Result<i64, StoreError> {
        let (conn, now) = self.reading_at().await?;
        drop(conn);
        Ok(now.saturating_sub(other.now()))
    }
}
