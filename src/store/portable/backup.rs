//! Makes a backup of a store, also while workers use it.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::{AnyConnection, Connection};

use super::super::StoreError;
use super::super::open::as_it_is::connect;
use super::super::rotation::MASTER_KEY_FACT;
use super::super::sql::{self, Bound, Columns};
use super::file_writer::FileWriter;
use super::format::{BackupFault, FORMAT, Header, NOTE};
use super::passes::{PassError, Passes};
use super::place::{movable, name_of, numbers};
use super::sums::TableSum;
use super::tables::catalog;
use crate::clock::Clock;
use crate::config;

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Backup {
    /// When it began: everything that the store knew then is in it. In milliseconds on the store's clock.
    pub begun_at: i64,
    /// When it ended.
    pub ended_at: i64,
    /// How many rows of each table it holds.
    pub tables: BTreeMap<String, TableSum>,
    /// How large the file is, in bytes.
    pub size: u64,
    /// The word that recognizes the master key of its API keys.
    pub master_key: Option<String>,
}

/// Why a backup cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file would take the place of the store.
    #[error("{0} is the store")]
    IsTheStore(String),
    /// What has to be the same in the whole backup was changed meanwhile.
    #[error("the master key was replaced, or a restore was noted, while the backup was made")]
    Changed,
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] BackupFault),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PassError> for BackupError {
    fn from(error: PassError) -> Self {
        match error {
            PassError::Store(error) => error.into(),
            PassError::File(error) => error.into(),
        }
    }
}

/// Writes everything that a store holds into a file, and changes nothing in the store.
///
/// # Errors
/// When the store cannot be read, or the file cannot be written or is there already and may not be replaced.
pub async fn back_up(
    config: &config::Store,
    clock: &Clock,
    file: &Path,
    may_replace: bool,
) -> Result<Backup, BackupError> {
    if config.file().is_some_and(|store| is_same(&store, file)) {
        return Err(BackupError::IsTheStore(file.display().to_string()));
    }
    let mut opened = connect(config, false).await?;
    let made = made(&mut opened.conn, opened.newest, config, clock, (file, may_replace)).await;
    // Nothing was changed that could be lost.
    drop(opened.conn.close().await);
    made
}

async fn made(
    conn: &mut AnyConnection,
    newest: Option<i64>,
    config: &config::Store,
    clock: &Clock,
    (file, may_replace): (&Path, bool),
) -> Result<Backup, BackupError> {
    let schema = movable(newest, &name_of(config))?;
    let tables = catalog(conn).await?;
    let fixed = fixed(conn).await?;
    let begun_at = sql::time(conn, clock).await?;
    let master_key = fact(conn, MASTER_KEY_FACT).await?;
    let header = Header {
        note: NOTE.into(),
        format: FORMAT,
        program: env!("CARGO_PKG_VERSION").into(),
        schema,
        begun_at,
        master_key: master_key.clone(),
        tables: tables.clone(),
    };
    let mut out = FileWriter::begin(file, may_replace, header)?;
    if let Err(error) = Passes::new(conn, &tables, &mut out).all().await {
        out.abandon();
        return Err(error.into());
    }
    let last = async {
        let (now_fixed, numbers) = (self::fixed(conn).await?, numbers(conn).await?);
        Ok::<_, StoreError>((now_fixed, numbers, sql::time(conn, clock).await?))
    };
    let (now_fixed, numbers, ended_at) = match last.await {
        Ok(last) => last,
        Err(error) => {
            out.abandon();
            return Err(error.into());
        }
    };
    if now_fixed != fixed {
        out.abandon();
        return Err(BackupError::Changed);
    }
    let (tables, size) = out.end(ended_at, numbers)?;
    Ok(Backup { begun_at, ended_at, tables, size, master_key })
}

/// Returns what has to be the same from the beginning of a backup to its end: which master keys decrypt the API keys, and
/// how often the store was restored.
async fn fixed(conn: &mut AnyConnection) -> Result<Vec<String>, StoreError> {
    let rotation = "SELECT from_key, to_key FROM master_key_rotation";
    let mut fixed = vec![fact(conn, MASTER_KEY_FACT).await?.unwrap_or_default()];
    let tables = catalog(conn).await?;
    if tables.iter().any(|table| table.name == "master_key_rotation") {
        for row in sql::fetch(conn, rotation, vec![]).await? {
            fixed.extend([row.text("from_key")?, row.text("to_key")?]);
        }
    }
    if tables.iter().any(|table| table.name == "restores") {
        for row in sql::fetch(conn, "SELECT number FROM restores ORDER BY number", vec![]).await? {
            fixed.push(row.int("number")?.to_string());
        }
    }
    Ok(fixed)
}

async fn fact(conn: &mut AnyConnection, name: &str) -> Result<Option<String>, StoreError> {
    let rows = sql::fetch(conn, "SELECT value FROM facts WHERE name = $1", vec![Bound::Text(name.into())]).await?;
    rows.first().map(|row| row.text("value")).transpose()
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}
