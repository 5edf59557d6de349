//! Holds a store that is filled or moved, so that nothing else uses it meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::{AnyConnection, Connection};
use tokio::time::{Instant, sleep};

use super::super::file::Locked;
use super::super::migrations::{FIRST_COMMON, newest_step};
use super::super::open::as_it_is::{AsItIs, connect, keep_others_out};
use super::super::sql::{self, Bound, Columns, Dialect};
use super::super::{StoreError, StoreLocation, preparing};
use super::marks::{self, Mark};
use super::rows::page;
use super::sums::TableSum;
use super::tables::{NUMBERED, Table, catalog, drop_all};
use crate::config;

/// Tables that may have rows although nothing was stored yet: a worker or a command that only started writes them.
const WRITTEN_ANYWAY: [&str; 4] = ["facts", "trend", "suspicions", "lane_orders"];

/// How long a server may show a session that has ended.
const ENDING: Duration = Duration::from_secs(2);
/// The pause between two readings of the sessions.
const PAUSE: Duration = Duration::from_millis(50);

/// A store that nothing else uses.
#[derive(Debug)]
pub(in crate::store) struct Place {
    pub(in crate::store) conn: AnyConnection,
    pub(in crate::store) dialect: Dialect,
    /// The number of its newest migration; nothing if it has no tables.
    pub(in crate::store) schema: Option<i64>,
    /// Its file, if it is in one.
    pub(in crate::store) file: Option<std::path::PathBuf>,
    /// Where it is, without a password.
    pub(in crate::store) name: String,
    lock: Option<Locked>,
}

impl Place {
    /// Takes a store. A file is created if that is asked for.
    pub(in crate::store) async fn take(config: &config::Store, create: bool) -> Result<Self, StoreError> {
        let name = name_of(config);
        // The lock is taken before SQLite opens the file.
        let lock = match config.file() {
            Some(file) if file.exists() => Some(Locked::take(&file)?),
            Some(_) | None => None,
        };
        let had_file = lock.is_some();
        let AsItIs { mut conn, newest, file } = match connect(config, create).await {
            Ok(opened) => opened,
            Err(error) => {
                lock.into_iter().for_each(Locked::release);
                return Err(error);
            }
        };
        let dialect = Dialect::of(&conn);
        let lock = match &file {
            Some(file) if !had_file => Some(Locked::take(file)?),
            Some(_) | None => lock,
        };
        let begun = Instant::now();
        while dialect == Dialect::Postgres && !keep_others_out(&mut conn).await? {
            if begun.elapsed() > ENDING {
                let sessions = "commands or workers that just start".to_owned();
                return Err(StoreError::Occupied { place: name, sessions });
            }
            sleep(PAUSE).await;
        }
        let mut place = Self { conn, dialect, schema: newest, file, name, lock };
        match place.require_alone().await {
            Ok(()) => Ok(place),
            Err(error) => {
                place.leave().await;
                Err(error)
            }
        }
    }

    /// Checks that no other process of this program uses a database, and that no worker has a request under way.
    pub(in crate::store) async fn require_alone(&mut self) -> Result<(), StoreError> {
        if self.dialect == Dialect::Sqlite {
            return Ok(());
        }
        let begun = Instant::now();
        loop {
            let sql = "SELECT COUNT(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'testmo-courier' AND pid <> pg_backend_pid()";
            let rows = sql::fetch(&mut self.conn, sql, vec![]).await?;
            match rows.first().map_or(Ok(0), |row| row.int("n"))? {
                0 => return Ok(()),
                others if begun.elapsed() > ENDING => return Err(self.occupied(format!("{others} sessions"))),
                // A server shows a session for a moment after its end.
                _ => sleep(PAUSE).await,
            }
        }
    }

    /// Checks that no worker may still have a create request under way.
    pub(in crate::store) async fn require_no_lease(&mut self, now: i64) -> Result<(), StoreError> {
        let sql = "SELECT COUNT(*) AS n FROM pushes WHERE ended_at IS NULL AND lease_until > $1";
        let rows = sql::fetch(&mut self.conn, sql, vec![Bound::Int(now)]).await?;
        match rows.first().map_or(Ok(0), |row| row.int("n"))? {
            0 => Ok(()),
            leases => Err(self.occupied(format!("{leases} requests under way, or cut off less than a lease ago,"))),
        }
    }

    fn occupied(&self, sessions: String) -> StoreError {
        StoreError::Occupied { place: self.name.clone(), sessions }
    }

    /// Returns the mark of the store.
    pub(in crate::store) async fn mark(&mut self) -> Result<Option<Mark>, StoreError> {
        if self.schema.is_none() { Ok(None) } else { marks::read(&mut self.conn).await }
    }

    /// Returns a table that has rows which a restore would replace.
    pub(in crate::store) async fn occupied_table(&mut self) -> Result<Option<String>, StoreError> {
        if self.schema.is_none() {
            return Ok(None);
        }
        for table in catalog(&mut self.conn).await? {
            let is_written_anyway = WRITTEN_ANYWAY.contains(&table.name.as_str());
            if !is_written_anyway && !page(&mut self.conn, &table, None).await?.rows.is_empty() {
                return Ok(Some(table.name));
            }
        }
        Ok(None)
    }

    /// Makes the store an empty one of a schema, which is marked as one that is being filled: all or nothing.
    pub(in crate::store) async fn begin_filling(&mut self, schema: i64) -> Result<Vec<Table>, StoreError> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        let mut transaction = self.conn.begin_with(begin).await?;
        drop_all(&mut transaction).await?;
        preparing::create(&mut transaction, schema).await?;
        marks::write(&mut transaction, &Mark::Filling).await?;
        transaction.commit().await?;
        self.schema = Some(schema);
        catalog(&mut self.conn).await
    }

    /// Sets the numbers from which the database goes on in the tables that it numbers.
    pub(in crate::store) async fn set_numbers(&mut self, numbers: &BTreeMap<String, i64>) -> Result<(), StoreError> {
        for table in NUMBERED {
            let Some(last) = numbers.get(table).copied().filter(|last| *last > 0) else { continue };
            match self.dialect {
                Dialect::Sqlite => {
                    let bounds = || vec![Bound::Text(table.into()), Bound::Int(last)];
                    let sql = "UPDATE sqlite_sequence SET seq = $2 WHERE name = $1";
                    if sql::execute(&mut self.conn, sql, bounds()).await? == 0 {
                        let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)";
                        sql::execute(&mut self.conn, sql, bounds()).await?;
                    }
                }
                Dialect::Postgres => {
                    let sql = format!("SELECT setval(pg_get_serial_sequence('{table}', 'id'), $1)");
                    sql::fetch(&mut self.conn, sql, vec![Bound::Int(last)]).await?;
                }
            }
        }
        Ok(())
    }

    /// Brings the tables to this version.
    pub(in crate::store) async fn migrate(&mut self) -> Result<(), StoreError> {
        if self.dialect == Dialect::Postgres {
            // An index of a large table takes longer than a statement of a worker may.
            sql::execute(&mut self.conn, "SET statement_timeout = 0", vec![]).await?;
        }
        preparing::prepare(&mut self.conn).await
    }

    /// Sums up the rows of some tables.
    pub(in crate::store) async fn sums(&mut self, tables: &[Table]) -> Result<BTreeMap<String, TableSum>, StoreError> {
        let mut sums = BTreeMap::new();
        for table in tables {
            let (mut sum, mut after) = (TableSum::default(), None);
            loop {
                let page = page(&mut self.conn, table, after.as_ref()).await?;
                let counted =
                    page.rows.iter().filter(|row| table.name != "facts" || !super::passes::is_mark(table, row));
                counted.for_each(|row| sum.add(row));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            sums.insert(table.name.clone(), sum);
        }
        Ok(sums)
    }

    /// Lets others use the store.
    pub(in crate::store) async fn leave(self) {
        // What fails here ends with the process.
        drop(self.conn.close().await);
        self.lock.into_iter().for_each(Locked::release);
    }
}

/// Returns the last number that the database gave in each table that it numbers. Discarded entries keep their numbers.
pub(super) async fn numbers(conn: &mut AnyConnection) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut numbers = BTreeMap::new();
    let tables = catalog(conn).await?;
    let is_there = |name: &str| tables.iter().any(|table| table.name == name);
    for table in NUMBERED.into_iter().filter(|table| is_there(table)) {
        let given = match Dialect::of(conn) {
            Dialect::Sqlite => format!("SELECT seq AS id FROM sqlite_sequence WHERE name = '{table}'"),
            Dialect::Postgres => {
                format!(
                    "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence('{table}', 'id') AS regclass)) AS id"
                )
            }
        };
        let discarded =
            if table == "shelf" && is_there("discarded") { "UNION ALL SELECT MAX(id) FROM discarded" } else { "" };
        let sql = format!(
            "SELECT COALESCE(MAX(id), 0) AS last FROM ({given} UNION ALL SELECT MAX(id) FROM {table} {discarded}) AS all_ids"
        );
        let rows = sql::fetch(conn, sql, vec![]).await?;
        numbers.insert(table.into(), rows.first().map_or(Ok(0), |row| row.int("last"))?);
    }
    Ok(numbers)
}

/// Returns the schema of a store that can be moved.
pub(super) fn movable(schema: Option<i64>, place: &str) -> Result<i64, StoreError> {
    match schema {
        Some(schema) if schema > newest_step(Dialect::Sqlite) => Err(StoreError::Newer),
        // Earlier numbers have another meaning on the other database.
        Some(schema) if schema >= FIRST_COMMON => Ok(schema),
        Some(_) | None => Err(StoreError::Missing(place.into())),
    }
}

/// Returns where a store is, as a person would write it, without a password.
pub(super) fn name_of(config: &config::Store) -> String {
    match StoreLocation::of(config) {
        StoreLocation::Server(_) if !config.written.url.is_empty() => config.written.url.clone(),
        location @ (StoreLocation::Server(_) | StoreLocation::File(_)) => location.to_string(),
    }
}
