//! What is kept across crashes: the ledger, the connections, the shelf and the outbox.
//!
//! Invariant: no transaction is open while anything but the database is waited for.

pub mod accounts;
pub mod by_hand;
pub mod connections;
pub mod folders;
mod group;
pub mod ledger;
mod lock;
pub mod outbox;
pub mod shelf;
mod sql;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, SqlSafeStr};

use self::sql::Columns;
use crate::clock::Clock;
use crate::config;

pub use self::lock::FileLock;

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no store at the configured place.
    #[error("there is no store at {0}: run `testmo-courier init`, or check store.url")]
    Missing(String),
    /// Another worker uses the file.
    #[error("{0} is in use by another worker: stop it, or give each worker a store of its own")]
    InUse(String),
    /// The database refused or is not there.
    #[error("the store failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought to this version.
    #[error("the store's tables could not be prepared: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A stored value is not what this version writes.
    #[error("the store holds a value of `{0}` that this version cannot read")]
    Malformed(String),
    /// The store is being closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    pub(crate) fn malformed(what: &str) -> Self {
        Self::Malformed(what.into())
    }
}

/// The store.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    clock: Clock,
    group: group::Group,
}

impl Store {
    /// Opens the store at `config.url`; with `create`, makes it if it is not there. Brings its tables up to date.
    ///
    /// # Errors
    /// When it is missing, cannot be opened, or is of a newer version.
    pub async fn open(config: &config::Store, create: bool, clock: Clock) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let file = sqlite_file(&config.url);
        if !create && !file.exists() {
            return Err(StoreError::Missing(file.display().to_string()));
        }
        let mode = if create { "rwc" } else { "rw" };
        let url = url::Url::parse(&format!("{}?mode={mode}", config.url.split('?').next().unwrap_or(&config.url)))
            .map_err(|error| StoreError::Database(sqlx::Error::Configuration(error.into())))?;
        let options = AnyConnectOptions::from_url(&url)?.disable_statement_logging();
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(|conn, _| Box::pin(prepare(conn)))
            .connect_with(options)
            .await?;
        migrator().run(&pool).await?;
        let group = group::Group::start(pool.clone(), clock.clone());
        Ok(Self { pool, clock, group })
    }

    /// The time on the store's clock, in milliseconds since 1970.
    pub fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut conn = self.pool.acquire().await?;
        sql::fetch(&mut conn, "SELECT 1 AS one", vec![]).await?;
        Ok(())
    }

    /// How far the clock is behind what the store has seen; leases and pauses last that much longer.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn clock_lag(&self) -> Result<Duration, StoreError> {
        let mut conn = self.pool.acquire().await?;
        let sql = "SELECT MAX(at) AS at FROM (SELECT MAX(claimed_at) AS at FROM batches UNION ALL \
                   SELECT MAX(shelved_at) FROM shelf UNION ALL SELECT MAX(created_at) FROM outbox) AS seen";
        let rows = sql::fetch(&mut conn, sql, vec![]).await?;
        let seen = rows.first().map_or(Ok(None), |row| row.maybe_int("at"))?.unwrap_or(i64::MIN);
        Ok(Duration::from_millis(u64::try_from(seen.saturating_sub(self.now())).unwrap_or(0)))
    }

    /// Finishes what was asked for and closes every connection.
    pub async fn close(&self) {
        self.group.close().await;
        self.pool.close().await;
    }
}

/// WAL with full sync survives a power cut; the wait is for another process that writes, such as a command.
async fn prepare(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    for pragma in ["busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL", "temp_store = MEMORY"] {
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"))).execute(&mut *conn).await?;
    }
    Ok(())
}

fn migrator() -> Migrator {
    let first = Migration::new(
        1,
        "tables".into(),
        MigrationType::Simple,
        include_str!("migrations/sqlite_1.sql").into_sql_str(),
        false,
    );
    Migrator { migrations: vec![first].into(), ..Migrator::DEFAULT }
}

/// The file of an SQLite URL.
pub fn sqlite_file(url: &str) -> PathBuf {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = path.strip_prefix("//").unwrap_or(path);
    Path::new(path.split('?').next().unwrap_or(path)).to_path_buf()
}
