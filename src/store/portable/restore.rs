//! Restores a store from a backup, and examines a backup.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sqlx::Connection;

use super::super::StoreError;
use super::super::audit::AuditEntry;
use super::super::connections::{ConnectionRow, connection};
use super::super::migrations;
use super::super::restores::{self, CopyTimes};
use super::super::sql::{self, Bound, Dialect};
use super::decode::require_readable;
use super::file_reader::FileReader;
use super::format::BackupFault;
use super::marks::{self, Mark};
use super::place::{Place, movable, name_of};
use super::rows::{Row, insert};
use super::sums::TableSum;
use super::tables::Table;
use crate::batch::restored::Restore;
use crate::clock::Clock;
use crate::config;

/// What a backup holds; all of it was read and is what was written. Times are in milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The version of the program that wrote it.
    pub program: String,
    /// The number of the newest migration of its store.
    pub schema: i64,
    /// How many migrations follow in this version.
    pub later_steps: usize,
    /// When it began.
    pub begun_at: i64,
    /// When it ended.
    pub ended_at: i64,
    /// The word that recognizes the master key of its API keys.
    pub master_key: Option<String>,
    /// How many rows of each table it holds.
    pub tables: BTreeMap<String, TableSum>,
}

/// What is at the place into which a backup is to be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// No store: it is created.
    Missing,
    /// A store that holds nothing.
    Empty,
    /// A store into which a restore or a copy was interrupted: it is filled from the start.
    Interrupted,
    /// A store that holds something; a table that has rows.
    Occupied(String),
    /// A store that a worker or another command uses.
    InUse,
}

/// Why a backup cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum FillError {
    /// The store holds something.
    #[error("{place} is not empty: its table `{table}` has rows")]
    NotEmpty {
        /// Which store it is.
        place: String,
        /// A table that has rows.
        table: String,
    },
    /// What was written is not what was read.
    #[error("the table `{0}` has other rows after it was written than before")]
    Differs(String),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] BackupFault),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a whole backup and checks that it is what was written, and that this version can read it.
///
/// # Errors
/// When it is not, or was written by a newer version.
pub fn contents(file: &Path) -> Result<Contents, BackupFault> {
    let newest = migrations::newest_step(Dialect::Sqlite);
    let mut reader = FileReader::open(file, newest)?;
    while reader.next()?.is_some() {}
    let (header, end) = (reader.header(), reader.end()?);
    Ok(Contents {
        program: header.program.clone(),
        schema: header.schema,
        later_steps: migrations::steps_after(Dialect::Sqlite, header.schema),
        begun_at: header.begun_at,
        ended_at: end.ended_at,
        master_key: header.master_key.clone(),
        tables: end.tables.clone(),
    })
}

/// Examines the place into which a backup is to be restored, and changes nothing.
///
/// # Errors
/// When the database does not answer.
pub async fn target(config: &config::Store) -> Result<Target, StoreError> {
    let taken = Place::take(config, false).await;
    if matches!(taken, Err(StoreError::Missing(_))) {
        return Ok(Target::Missing);
    }
    if matches!(taken, Err(StoreError::InUse(_) | StoreError::Occupied { .. })) {
        return Ok(Target::InUse);
    }
    let mut place = taken?;
    let target = state(&mut place).await;
    place.leave().await;
    target
}

async fn state(place: &mut Place) -> Result<Target, StoreError> {
    if place.schema.is_none() {
        return Ok(Target::Missing);
    }
    if place.mark().await? == Some(Mark::Filling) {
        return Ok(Target::Interrupted);
    }
    Ok(place.occupied_table().await?.map_or(Target::Empty, Target::Occupied))
}

/// A store that a backup was put into, and that no worker uses before it is noted as restored.
#[derive(Debug)]
pub struct Filled {
    place: Place,
    begun_at: i64,
}

/// Takes the place for a store that holds nothing.
pub(super) async fn empty_place(config: &config::Store) -> Result<Place, FillError> {
    let mut place = Place::take(config, true).await?;
    match state(&mut place).await {
        Ok(Target::Missing | Target::Empty | Target::Interrupted | Target::InUse) => Ok(place),
        Ok(Target::Occupied(table)) => {
            let name = place.name.clone();
            place.leave().await;
            Err(FillError::NotEmpty { place: name, table })
        }
        Err(error) => {
            place.leave().await;
            Err(error.into())
        }
    }
}

/// Puts a backup into a store that holds nothing. Until [`Filled::note`] no worker can use it, and a process that ends
/// before leaves a store that can be filled again.
///
/// # Errors
/// When the store is not empty or in use, or one of both cannot be used.
pub async fn fill(config: &config::Store, file: &Path) -> Result<Filled, FillError> {
    let mut place = empty_place(config).await?;
    match filled(&mut place, file).await {
        Ok(begun_at) => Ok(Filled { place, begun_at }),
        Err(error) => {
            place.leave().await;
            Err(error)
        }
    }
}

async fn filled(place: &mut Place, file: &Path) -> Result<i64, FillError> {
    let newest = migrations::newest_step(place.dialect);
    let mut reader = FileReader::open(file, newest)?;
    let header = reader.header().clone();
    let schema = movable(Some(header.schema), &place.name)?;
    place.begin_filling(schema).await?;
    let mut unbound = HashSet::new();
    while let Some((table, mut rows)) = reader.next()? {
        adapt(&table, &mut rows, &mut unbound);
        insert(&mut place.conn, &table, rows).await?;
    }
    let numbers = reader.end()?.numbers.clone();
    place.set_numbers(&numbers).await?;
    place.migrate().await?;
    Ok(header.begun_at)
}

/// Has no event wait for a routing key that is not known to be unbound: the rows of one table may be older than those of
/// another one, and such an event would wait forever. Routing keys come before events.
fn adapt(table: &Table, rows: &mut [Row], unbound: &mut HashSet<String>) {
    let text = |row: &Row, column: &str| row.get(table.place(column)?)?.as_str().map(ToOwned::to_owned);
    match table.name.as_str() {
        "unbound_keys" => unbound.extend(rows.iter().filter_map(|row| text(row, "routing_key"))),
        "outbox" => {
            let Some(aside) = table.place("aside_at") else { return };
            for row in rows {
                if text(row, "routing_key").is_none_or(|key| !unbound.contains(&key)) {
                    row[aside] = Value::Null;
                }
            }
        }
        _ => {}
    }
}

impl Filled {
    /// Checks that this version can read every row of it.
    ///
    /// # Errors
    /// When it cannot: the row, or the store does not answer.
    pub async fn require_readable(&mut self) -> Result<(), StoreError> {
        require_readable(&mut self.place.conn).await
    }

    /// Returns the connections in it, with their encrypted API keys.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read one of them.
    pub async fn connections(&mut self) -> Result<Vec<ConnectionRow>, StoreError> {
        let sql = "SELECT * FROM connections ORDER BY tenant_id";
        sql::fetch(&mut self.place.conn, sql, vec![]).await?.iter().map(connection).collect()
    }

    /// Notes that the store was restored from a copy of the time at which the backup began, and cancels replays that were
    /// under way; from then on it can be used.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note(mut self, clock: &Clock, until: i64, entry: AuditEntry) -> Result<Restore, StoreError> {
        let noted = self.noted(clock, until, entry).await;
        self.place.leave().await;
        noted
    }

    async fn noted(&mut self, clock: &Clock, until: i64, entry: AuditEntry) -> Result<Restore, StoreError> {
        let now = sql::time(&mut self.place.conn, clock).await?;
        // What the backup does not know was created after it began, even if it knows of something later.
        let copied = CopyTimes { copied_at: self.begun_at, latest_at: self.begun_at, until, least_number: 1 };
        let mut transaction = self.place.conn.begin().await?;
        let cancelled = "UPDATE replays SET state = 'cancelled', epoch = epoch + 1, holder = NULL, lease_until = NULL, \
                         ended_at = $1, why = 'the store was restored from a backup' \
                         WHERE state IN ('planning', 'running', 'paused')";
        sql::execute(&mut transaction, cancelled, vec![Bound::Int(now)]).await?;
        let noted = restores::note(&mut transaction, now, self.place.file.as_deref(), copied, entry).await?;
        marks::remove(&mut transaction).await?;
        transaction.commit().await?;
        Ok(noted.made_known(self.place.file.as_deref()))
    }

    /// Lets the store be as it is: filled, and not to be used.
    pub async fn leave(self) {
        self.place.leave().await;
    }
}

/// Puts a backup into a store in a file of its own, to examine it, and returns the file's configuration.
///
/// # Errors
/// As [`fill`].
pub async fn trial(config: &config::Store, folder: &Path, file: &Path) -> Result<config::Store, FillError> {
    let trial = PathBuf::from(folder).join("trial.db");
    let config = config::Store { url: format!("sqlite:{}", trial.display()), max_file_bytes: 0, ..config.clone() };
    let mut filled = fill(&config, file).await?;
    let readable = filled.require_readable().await;
    let unmarked = marks::remove(&mut filled.place.conn).await;
    filled.leave().await;
    readable?;
    unmarked?;
    Ok(config)
}

/// Returns the name of the place at which a store is, without a password.
pub fn place_name(config: &config::Store) -> String {
    name_of(config)
}
