//! Opens the store's connections, and migrates its tables to this version.

pub(super) mod as_it_is;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection};
use url::Url;

use super::StoreError;
use super::file::{self, HeldFile, Locked};
use super::location::StoreLocation;
use super::lock_wait::{LOCK_WAIT, wait_for_lock};
use super::portable::marks;
use super::preparing::{is_store, prepare, prepare_shared, tables_state};
use super::restores::counter;
use super::sql::{self, Columns, Dialect};
use crate::clock::Clock;
use crate::config;
use crate::private_file;

/// How long opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The connections that read an SQLite file. One more writes: a second writer would make it read its pages again.
const READERS_OF_A_FILE: u32 = 2;
/// The page cache of the connection by which a worker writes to a file, in KiB: the pages that pushes under way come back to.
const PAGES_KEPT: u32 = 4_096;
/// The page cache of the connection by which commands and the console write, in KiB. As SQLite is built here, all connections of a
/// process share their page caches: what the console's connection may keep, its readers fill.
const PAGES_OF_COMMANDS: u32 = 1_024;
/// The page cache of each connection that reads a file, in KiB: little, as the system keeps what is read often, and a count
/// of a large shelf would fill it with pages that nothing needs again.
const PAGES_READ: u32 = 512;
/// With how many pages in the log a commit brings them into the file itself: 128 MB, as a worker does so beside its commits.
const PAGES_AHEAD: u32 = 32_000;
/// How far commands may let a file grow beyond `store.max_file_bytes`, in bytes. Discarding stores an event and a record
/// before it frees anything, and a worker takes what it frees.
const ROOM_FOR_COMMANDS: u64 = 16 * 1024 * 1024;
/// The size of a page of an SQLite file, in bytes.
const PAGE: u64 = 4_096;
/// The advisory lock of the process that prepares the tables in a database.
const PREPARING: i64 = 0x7465_7374_6d6f;
/// How long it is tried to open a file that another process is just making into a store.
const BUSY: Duration = Duration::from_secs(10);
/// A connection that was idle for longer is tested before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

pub(super) struct Opened {
    pub(super) dialect: Dialect,
    pub(super) readers: AnyPool,
    pub(super) writers: AnyPool,
    pub(super) clock: Clock,
    pub(super) file: Option<HeldFile>,
    pub(super) made: bool,
}

/// What the store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A command, beside a worker or without one.
    Command,
    /// A command that creates the store if it is missing.
    Create,
    /// A worker, the only one on a file.
    Worker,
    /// A person who says that the store was set back; as a worker, also where the store was moved elsewhere.
    SetBack,
}

pub(super) async fn open(config: &config::Store, purpose: Use, clock: Clock) -> Result<Opened, StoreError> {
    sqlx::any::install_default_drivers();
    match StoreLocation::of(config) {
        StoreLocation::File(file) => {
            let opened = open_file(config, &file, purpose, clock).await;
            opened.map_err(|error| file::explained(error, &file))
        }
        StoreLocation::Server(place) => open_server(config, place, purpose).await,
    }
}

/// Opens a store to read it. Nothing is created, migrated or changed.
pub(super) async fn open_to_read(config: &config::Store, clock: Clock) -> Result<Opened, StoreError> {
    sqlx::any::install_default_drivers();
    match StoreLocation::of(config) {
        StoreLocation::File(file) => {
            let opened = open_file_to_read(&file, clock).await;
            opened.map_err(|error| file::explained(error, &file))
        }
        StoreLocation::Server(place) => open_server_to_read(config, place).await,
    }
}

async fn open_file_to_read(file: &Path, clock: Clock) -> Result<Opened, StoreError> {
    if !file.exists() {
        return Err(StoreError::Missing(file.display().to_string()));
    }
    let options = file_options(file, reading_mode(file))?;
    let mut first = AnyConnection::connect_with(&options).await?;
    let is_store = is_store(&mut first).await?;
    first.close().await?;
    if !is_store {
        return Err(StoreError::Missing(file.display().to_string()));
    }
    let pool = AnyPoolOptions::new()
        .max_connections(READERS_OF_A_FILE)
        .test_before_acquire(false)
        .acquire_timeout(CONNECT)
        .connect_lazy_with(options);
    Ok(Opened { dialect: Dialect::Sqlite, readers: pool.clone(), writers: pool, clock, file: None, made: false })
}

/// Returns how a file is opened that is only read. A file without a log is not in use, and SQLite would make a log and an
/// index beside it even to read it, unless a parameter says that nothing changes the file.
fn reading_mode(file: &Path) -> &'static str {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    if Path::new(&log).exists() { "ro" } else { "ro&immutable=1" }
}

async fn open_server_to_read(config: &config::Store, place: String) -> Result<Opened, StoreError> {
    let (options, mut conn) = connect_to_server(config).await?;
    if !is_store(&mut conn).await? {
        return Err(StoreError::Missing(place));
    }
    let clock = Clock::led_from(0);
    sql::time(&mut conn, &clock).await?;
    conn.close().await?;
    let pool = AnyPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(CONNECT)
        .after_connect(|conn, _| {
            Box::pin(async move {
                prepare_server(conn).await?;
                sqlx::raw_sql("SET default_transaction_read_only = on").execute(conn).await.map(drop)
            })
        })
        .connect_lazy_with(options);
    Ok(Opened { dialect: Dialect::Postgres, readers: pool.clone(), writers: pool, clock, file: None, made: false })
}

async fn open_file(config: &config::Store, file: &Path, purpose: Use, clock: Clock) -> Result<Opened, StoreError> {
    if purpose != Use::Create && !file.exists() {
        return Err(StoreError::Missing(file.display().to_string()));
    }
    if purpose == Use::Create {
        create_private(file)?;
    }
    // Before SQLite opens the file.
    let locked = if is_alone(purpose) { Some(Locked::take(file)?) } else { None };
    let options = file_options(file, if purpose == Use::Create { "rwc" } else { "rw" })?;
    let most = largest_file(config.max_file_bytes, purpose);
    let pool = |connections, kept| {
        AnyPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .acquire_timeout(CONNECT)
            // A connection to a file does not age; a new one would have to read everything again.
            .idle_timeout(None)
            .max_lifetime(None)
            .after_connect(move |conn, _| Box::pin(prepare_file(conn, most, kept)))
            .connect_lazy_with(options.clone())
    };
    let (readers, writers) = (pool(READERS_OF_A_FILE, PAGES_READ), pool(1, pages_written(purpose)));
    let mut writer = match writers.acquire().await {
        Ok(writer) => writer,
        Err(error) => return Err(why_not_opened(&options, most, error).await),
    };
    let made = migrate_file(&mut writer, file, purpose).await?;
    if made {
        counter::remove(file);
    }
    require_usable(&mut writer, &file.display().to_string(), purpose).await?;
    drop(writer);
    let held = match locked {
        None => None,
        Some(locked) => {
            let mut keeper = AnyConnection::connect_with(&options).await?;
            prepare_file(&mut keeper, most, PAGES_READ).await?;
            Some(locked.hold(file, keeper).await?)
        }
    };
    Ok(Opened { dialect: Dialect::Sqlite, readers, writers, clock, file: held, made })
}

/// Returns the page cache of the connection that writes to a file, in KiB.
fn pages_written(purpose: Use) -> u32 {
    match purpose {
        Use::Command | Use::Create => PAGES_OF_COMMANDS,
        Use::Worker | Use::SetBack => PAGES_KEPT,
    }
}

/// Returns the size up to which a file may grow, in bytes; 0 is no limit.
fn largest_file(configured: u64, purpose: Use) -> u64 {
    match purpose {
        Use::Command | Use::Create if configured > 0 => configured + ROOM_FOR_COMMANDS,
        Use::Command | Use::Create | Use::Worker | Use::SetBack => configured,
    }
}

/// Whether nothing else may hold the file meanwhile.
fn is_alone(purpose: Use) -> bool {
    match purpose {
        Use::Worker | Use::SetBack => true,
        Use::Command | Use::Create => false,
    }
}

async fn require_usable(conn: &mut AnyConnection, place: &str, purpose: Use) -> Result<(), StoreError> {
    match marks::require_usable(conn, place).await {
        Err(StoreError::Moved { .. }) if purpose == Use::SetBack => Ok(()),
        other => other,
    }
}

/// Returns why a file cannot be opened: the pool tries it again and again, and then does not report why.
async fn why_not_opened(options: &AnyConnectOptions, most: u64, error: sqlx::Error) -> StoreError {
    let opened = async {
        let mut conn = AnyConnection::connect_with(options).await?;
        prepare_file(&mut conn, most, PAGES_READ).await
    };
    opened.await.err().unwrap_or(error).into()
}

/// Creates the file if there is none. SQLite gives the files beside it the same permissions.
fn create_private(file: &Path) -> Result<(), StoreError> {
    match private_file::create(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::NotOpened(error.to_string())),
    }
}

/// How SQLite opens exactly this file, whatever characters are in its name.
fn file_options(file: &Path, mode: &str) -> Result<AnyConnectOptions, StoreError> {
    let missing = || StoreError::Missing(file.display().to_string());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // In a URL, `..` would not follow a symbolic link before it.
    let folder = folder.canonicalize().map_err(|_| missing())?;
    let url = Url::from_file_path(folder.join(file.file_name().ok_or_else(missing)?)).map_err(|()| missing())?;
    options(&format!("sqlite:{}?mode={mode}", url.path()))
}

/// Brings the tables of a file to this version, and returns whether there were none. Of several processes that begin at
/// once, one does it and the others wait. A file without tables is a store only for a command that creates one.
async fn migrate_file(conn: &mut AnyConnection, file: &Path, purpose: Use) -> Result<bool, StoreError> {
    if tables_state(conn).await?.waiting.is_empty() {
        prepare(conn).await?;
        return Ok(false);
    }
    let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await?;
    let made = !is_store(&mut transaction).await?;
    if made && purpose != Use::Create {
        return Err(StoreError::Missing(file.display().to_string()));
    }
    prepare(&mut transaction).await?;
    transaction.commit().await?;
    Ok(made)
}

/// Opens a connection to a server, and returns it with how further ones are opened.
async fn connect_to_server(config: &config::Store) -> Result<(AnyConnectOptions, AnyConnection), StoreError> {
    let options = options(&named(&config.url))?;
    // Not by a pool, which waits for a server that refuses, and then does not report why.
    let connecting = tokio::time::timeout(CONNECT, AnyConnection::connect_with(&options)).await;
    let mut conn = connecting.map_err(|_| StoreError::Away(format!("no connection within {CONNECT:?}")))??;
    require_utf8(&mut conn).await?;
    Ok((options, conn))
}

async fn open_server(config: &config::Store, place: String, purpose: Use) -> Result<Opened, StoreError> {
    let (options, mut conn) = connect_to_server(config).await?;
    // Until the connection is closed, so that replicas that start at once do it one after the other.
    sqlx::query(AssertSqlSafe(format!("SELECT pg_advisory_lock({PREPARING})"))).execute(&mut conn).await?;
    let made = !is_store(&mut conn).await?;
    if made && purpose != Use::Create {
        return Err(StoreError::Missing(place));
    }
    prepare_shared(&mut conn).await?;
    require_usable(&mut conn, &place, purpose).await?;
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
    Ok(Opened { dialect: Dialect::Postgres, readers: pool.clone(), writers: pool, clock, file: None, made })
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

/// Checks that the database can hold every character. Testmo's answers and messages have them all, and what cannot be
/// stored of them would be lost or hold others up.
async fn require_utf8(conn: &mut AnyConnection) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_encoding') AS encoding, CAST(current_database() AS TEXT) AS name";
    let rows = sql::fetch(conn, sql, vec![]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (encoding, database) = (row.text("encoding")?, row.text("name")?);
    if encoding == "UTF8" { Ok(()) } else { Err(StoreError::Encoding { database, encoding }) }
}

/// WAL with full sync survives a power cut.
async fn prepare_file(conn: &mut AnyConnection, most_bytes: u64, kept: u32) -> Result<(), sqlx::Error> {
    // Negative, it counts KiB instead of pages.
    sqlx::query(AssertSqlSafe(format!("PRAGMA cache_size = -{kept}"))).execute(&mut *conn).await?;
    if most_bytes > 0 {
        let sql = format!("PRAGMA max_page_count = {}", most_bytes / PAGE);
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    }
    wait_for_lock(&mut *conn, LOCK_WAIT).await?;
    // SQLite does not wait here if another process is just doing the same.
    let begun = Instant::now();
    while let Err(error) = sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *conn).await {
        if !is_busy(&error) || begun.elapsed() > BUSY {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for pragma in ["synchronous = FULL", "temp_store = MEMORY"] {
        sqlx::query(AssertSqlSafe(format!("PRAGMA {pragma}"))).execute(&mut *conn).await?;
    }
    sqlx::query(AssertSqlSafe(format!("PRAGMA wal_autocheckpoint = {PAGES_AHEAD}"))).execute(&mut *conn).await?;
    Ok(())
}

/// Whether another process holds a lock on the file. The lowest byte of SQLite's code is the kind of error.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i64>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

/// A replica that hangs must not hold the others up with what it has locked. Every statement finds its few rows by an
/// index; a planner that has no statistics yet, as in a new database, would read whole tables for them instead. With less memory
/// an index that finds many rows of the search notes pages in place of rows, and each row of these is compared.
async fn prepare_server(conn: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let settings = "SET default_transaction_isolation = 'read committed'; \
                    SET idle_in_transaction_session_timeout = '30s'; SET statement_timeout = '30s'; \
                    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
                    SET plan_cache_mode = force_generic_plan; SET work_mem = '16MB'";
    sqlx::raw_sql(settings).execute(conn).await?;
    Ok(())
}
