//! Opens the store's connections, and migrates its tables to this version.

use std::path::Path;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection};
use url::Url;

use super::StoreError;
use super::location::StoreLocation;
use super::migrations::migrator;
use super::sql::{self, Columns, Dialect};
use crate::clock::Clock;
use crate::config;

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The connections that read an SQLite file. One more writes: a second writer would make it read its pages again.
const READERS_OF_A_FILE: u32 = 2;
/// The page cache of the connection that writes to a file, in KiB: the pages that pushes under way come back to.
const PAGES_KEPT: u32 = 4_096;
/// How many pages are written ahead before they go into the file: 32 MB. Pages that change often go there once.
const PAGES_AHEAD: u32 = 8_000;
/// How long a statement waits for another process that writes to the file, such as a command.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(10);
/// The size of a page of an SQLite file, in bytes.
const PAGE: u64 = 4_096;
/// A connection that was idle for longer is tested before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

pub(super) struct Opened {
    pub(super) dialect: Dialect,
    pub(super) readers: AnyPool,
    pub(super) writers: AnyPool,
    pub(super) clock: Clock,
    pub(super) made: bool,
}

pub(super) async fn open(config: &config::Store, create: bool, clock: Clock) -> Result<Opened, StoreError> {
    sqlx::any::install_default_drivers();
    match StoreLocation::of(config) {
        StoreLocation::File(file) => open_file(config, &file, create, clock).await,
        StoreLocation::Server(place) => open_server(config, place, create).await,
    }
}

async fn open_file(config: &config::Store, file: &Path, create: bool, clock: Clock) -> Result<Opened, StoreError> {
    let made = !file.exists();
    if made && !create {
        return Err(StoreError::Missing(file.display().to_string()));
    }
    let mode = if create { "rwc" } else { "rw" };
    let url = &config.url;
    let options = options(&format!("{}?mode={mode}", url.split('?').next().unwrap_or(url)))?;
    let most = config.max_file_bytes;
    let pool = |connections, kept| {
        AnyPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .acquire_timeout(CONNECT)
            .after_connect(move |conn, _| Box::pin(prepare_file(conn, most, kept)))
            .connect_lazy_with(options.clone())
    };
    let (readers, writers) = (pool(READERS_OF_A_FILE, None), pool(1, Some(PAGES_KEPT)));
    migrator(Dialect::Sqlite).run(&writers).await?;
    Ok(Opened { dialect: Dialect::Sqlite, readers, writers, clock, made })
}

async fn open_server(config: &config::Store, place: String, create: bool) -> Result<Opened, StoreError> {
    let options = options(&named(&config.url))?;
    // Not by a pool, which waits for a server that refuses, and then does not report why.
    let connecting = tokio::time::timeout(CONNECT, AnyConnection::connect_with(&options)).await;
    let mut conn = connecting.map_err(|_| StoreError::Away(format!("no connection within {CONNECT:?}")))??;
    let made = !has_tables(&mut conn).await?;
    if made && !create {
        return Err(StoreError::Missing(place));
    }
    // Under an advisory lock of the database, so that replicas that start at once do it one after the other.
    migrator(Dialect::Postgres).run_direct(None, &mut conn, false).await?;
    let clock = Clock::led_from(0);
    sql::time(&mut conn, &clock).await?;
    conn.close().await?;
    let pool = AnyPoolOptions::new()
        .max_connections(config.max_connections)
        .test_before_acquire(false)
        .before_acquire(|conn, meta| {
            Box::pin(
                async move { if meta.idle_for > TRUSTED_FOR { conn.ping().await.map(|()| true) } else { Ok(true) } },
            )
        })
        .acquire_timeout(CONNECT)
        .after_connect(|conn, _| Box::pin(prepare_server(conn)))
        .connect_lazy_with(options);
    Ok(Opened { dialect: Dialect::Postgres, readers: pool.clone(), writers: pool, clock, made })
}

fn options(url: &str) -> Result<AnyConnectOptions, StoreError> {
    let url = Url::parse(url).map_err(|error| sqlx::Error::Configuration(error.into()))?;
    Ok(AnyConnectOptions::from_url(&url)?.disable_statement_logging())
}

/// The URL with a name by which the server's own lists show the connections.
fn named(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if !parsed.query_pairs().any(|(key, _)| key == "application_name") => {
            parsed.query_pairs_mut().append_pair("application_name", "testmo-courier");
            parsed.into()
        }
        Ok(_) | Err(_) => url.to_owned(),
    }
}

async fn has_tables(conn: &mut AnyConnection) -> Result<bool, StoreError> {
    let sql = "SELECT COUNT(to_regclass('_sqlx_migrations')) AS n";
    let rows = sql::fetch(conn, sql, vec![]).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.int("n"))? > 0)
}

/// Sets how long statements of a connection wait for another process that writes to the file.
pub(super) async fn wait_for_lock(conn: &mut AnyConnection, wait: Duration) -> Result<(), sqlx::Error> {
    let sql = format!("PRAGMA busy_timeout = {}", wait.as_millis());
    sqlx::query(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}

/// WAL with full sync survives a power cut.
async fn prepare_file(conn: &mut AnyConnection, most_bytes: u64, kept: Option<u32>) -> Result<(), sqlx::Error> {
    if let Some(kib) = kept {
        // Negative, it counts KiB instead of pages.
        sqlx::query(AssertSqlSafe(format!("PRAGMA cache_size = -{kib}"))).execute(&mut *conn).await?;
    }
    if most_bytes > 0 {
        let sql = format!("PRAGMA max_page_count = {}", most_bytes / PAGE);
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    wait_for_lock(&mut *conn, LOCK_WAIT).await?;
    for pragma in ["journal_mode = WAL", "synchronous = FULL", "temp_store = MEMORY"] {
        sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).execute(&mut *conn).await?;
    }
    sqlx::query(AssertSqlSafe(format!("PRAGMA wal_autocheckpoint = {PAGES_AHEAD}"))).execute(&mut *conn).await?;
    Ok(())
}

/// A replica that hangs must not hold the others up with what it has locked. Every statement finds its few rows by an
/// index; a planner that has no statistics yet, as in a new database, would read whole tables for them instead.
async fn prepare_server(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let settings = "SET default_transaction_isolation = 'read committed'; \
                    SET idle_in_transaction_session_timeout = '30s'; SET statement_timeout = '30s'; \
                    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
                    SET plan_cache_mode = force_generic_plan";
    sqlx::raw_sql(settings).execute(conn).await?;
    Ok(())
}
