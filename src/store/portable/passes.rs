//! Reads a store that workers use into a backup, in short transactions.
//!
//! Each batch is in the backup as it was at one moment, together with its entries on the shelf and among the discarded ones.
//! What is known of Testmo is read after the batches, so that it is never older. `docs/decisions/portable-backup.md` says why
//! nothing is lost or created twice after a restore.

use std::collections::HashSet;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::file_writer::FileWriter;
use super::format::BackupFault;
use super::marks::MARK;
use super::rows::{MOST_ROWS, Page, Row, decoded, last_that_fits, page, picked, size};
use super::tables::{MOVED, Table};

/// The tables of entries, whose numbers are from one sequence: a person moves an entry from one into the other.
const ENTRIES: [&str; 2] = ["shelf", "discarded"];
/// The tables whose rows belong to one version of a batch.
const OF_BATCHES: [&str; 4] = ["former_values", "write_windows", "undos", "undo_items"];
/// The columns that name a batch.
const NAME: [&str; 2] = ["tenant_id", "batch_id"];

/// Why a backup cannot be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum PassError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    File(#[from] BackupFault),
}

/// Reads a store.
pub(super) struct Passes<'a> {
    conn: &'a mut AnyConnection,
    tables: &'a [Table],
    out: &'a mut FileWriter,
    /// The hashes of the names of the batches that were read together with an entry.
    read: HashSet<[u8; 16]>,
    /// The largest number of an entry when the entries were read.
    last_entry: i64,
}

impl<'a> Passes<'a> {
    pub(super) fn new(conn: &'a mut AnyConnection, tables: &'a [Table], out: &'a mut FileWriter) -> Self {
        Self { conn, tables, out, read: HashSet::new(), last_entry: 0 }
    }

    /// Reads everything.
    pub(super) async fn all(&mut self) -> Result<(), PassError> {
        for name in MOVED {
            match name {
                "shelf" => self.entries().await?,
                "batches" => self.batches().await?,
                "pushes" => self.pushes().await?,
                // They were read with these.
                "discarded" | "former_values" | "write_windows" | "undos" | "undo_items" | "push_parts" => {}
                other => self.table(other).await?,
            }
        }
        Ok(())
    }

    fn known(&self, name: &str) -> Option<&'a Table> {
        self.tables.iter().find(|table| table.name == name)
    }

    fn all_known<'n>(&self, names: impl IntoIterator<Item = &'n &'n str>) -> Vec<&'a Table> {
        names.into_iter().filter_map(|name| self.known(name)).collect()
    }

    async fn table(&mut self, name: &str) -> Result<(), PassError> {
        let Some(table) = self.known(name) else { return Ok(()) };
        let mut after = None;
        loop {
            let Page { mut rows, next } = page(self.conn, table, after.as_ref()).await?;
            if name == "facts" {
                rows.retain(|row| !is_mark(table, row));
            }
            self.out.rows(name, &rows)?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Reads the entries that there are now, each with its batch.
    async fn entries(&mut self) -> Result<(), PassError> {
        let tables = self.all_known(&ENTRIES);
        self.last_entry = self.newest_entry(&tables).await?;
        let mut after = 0;
        while after < self.last_entry {
            let mut read = Vec::new();
            self.begin().await?;
            let Some(end) = self.end_of_entries(&tables, after).await? else {
                self.end().await?;
                break;
            };
            for table in &tables {
                let sql =
                    format!("SELECT {} FROM {} WHERE id > $1 AND id <= $2 ORDER BY id", table.listed(""), table.name);
                let rows = sql::fetch(self.conn, sql, vec![Bound::Int(after), Bound::Int(end)]).await?;
                read.push((*table, all(table, &rows)?));
            }
            let mut names = Vec::new();
            for (table, rows) in &read {
                names.extend(
                    rows.iter().filter_map(|row| picked(table, row, &NAME)).filter(|name| is_new(&self.read, name)),
                );
            }
            names.sort_by_key(hash);
            names.dedup();
            for table in self.all_known(["batches"].iter().chain(&OF_BATCHES)) {
                let rows = self.rows_of(table, &names, None).await?;
                read.push((table, rows));
            }
            self.end().await?;
            self.read.extend(names.iter().map(hash));
            self.write(read)?;
            after = end;
        }
        Ok(())
    }

    async fn newest_entry(&mut self, tables: &[&Table]) -> Result<i64, StoreError> {
        let mut newest = 0;
        for table in tables {
            let sql = format!("SELECT COALESCE(MAX(id), 0) AS id FROM {}", table.name);
            let rows = sql::fetch(self.conn, sql, vec![]).await?;
            newest = newest.max(rows.first().map_or(Ok(0), |row| row.int("id"))?);
        }
        Ok(newest)
    }

    /// Returns the last entry of the next page.
    async fn end_of_entries(&mut self, tables: &[&Table], after: i64) -> Result<Option<i64>, StoreError> {
        let part = |table: &&Table| {
            format!(
                "SELECT * FROM (SELECT id, {} AS bytes_of_row FROM {} WHERE id > $1 AND id <= $2 ORDER BY id \
                 LIMIT {MOST_ROWS}) AS of_{}",
                size(table, ""),
                table.name,
                table.name
            )
        };
        let parts: Vec<String> = tables.iter().map(part).collect();
        let sql = format!(
            "SELECT id, bytes_of_row FROM ({}) AS entries ORDER BY id LIMIT {MOST_ROWS}",
            parts.join(" UNION ALL ")
        );
        let sized = sql::fetch(self.conn, sql, vec![Bound::Int(after), Bound::Int(self.last_entry)]).await?;
        last_that_fits(&sized)?.map(|row| row.int("id")).transpose()
    }

    /// Reads the batches that were not read with an entry, each with the entries that it got since.
    async fn batches(&mut self) -> Result<(), PassError> {
        let Some(batches) = self.known("batches") else { return Ok(()) };
        let mut after = None;
        loop {
            self.begin().await?;
            let Page { mut rows, next } = page(self.conn, batches, after.as_ref()).await?;
            rows.retain(|row| picked(batches, row, &NAME).is_some_and(|name| is_new(&self.read, &name)));
            let names: Vec<Row> = rows.iter().filter_map(|row| picked(batches, row, &NAME)).collect();
            let mut read = vec![(batches, rows)];
            for table in self.all_known(&OF_BATCHES) {
                read.push((table, self.rows_of(table, &names, None).await?));
            }
            for table in self.all_known(&ENTRIES) {
                read.push((table, self.rows_of(table, &names, Some(self.last_entry)).await?));
            }
            self.end().await?;
            self.write(read)?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Reads the create requests, each with the batches that it was for.
    async fn pushes(&mut self) -> Result<(), PassError> {
        let (Some(pushes), Some(parts)) = (self.known("pushes"), self.known("push_parts")) else { return Ok(()) };
        let mut after = None;
        loop {
            self.begin().await?;
            let Page { rows, next } = page(self.conn, pushes, after.as_ref()).await?;
            let ids: Vec<Row> = rows.iter().filter_map(|row| picked(pushes, row, &["push_id"])).collect();
            let of = self.joined(parts, &["push_id"], &ids, None).await?;
            self.end().await?;
            self.write(vec![(pushes, rows), (parts, of)])?;
            match next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn rows_of(&mut self, table: &Table, names: &[Row], above: Option<i64>) -> Result<Vec<Row>, StoreError> {
        self.joined(table, &NAME, names, above).await
    }

    /// Reads the rows of a table that have these values in these columns, all texts, and a number above another one.
    async fn joined(
        &mut self,
        table: &Table,
        columns: &[&str],
        values: &[Row],
        above: Option<i64>,
    ) -> Result<Vec<Row>, StoreError> {
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let kinds: Vec<(&str, Kind)> = columns.iter().map(|column| (*column, Kind::Text)).collect();
        let same: Vec<String> = columns.iter().map(|column| format!("t.{column} = r.{column}")).collect();
        let above = above.map(|id| format!(" AND t.id > {id}")).unwrap_or_default();
        let sql = format!(
            "SELECT {} FROM {} CROSS JOIN {} AS t WHERE {}{above}",
            table.listed("t."),
            Dialect::of(self.conn).rows(&kinds),
            table.name,
            same.join(" AND ")
        );
        let named = |values: &Row| -> Value {
            columns.iter().map(|column| (*column).to_owned()).zip(values.iter().cloned()).collect()
        };
        let rows: Vec<Value> = values.iter().map(named).collect();
        let rows = sql::fetch(self.conn, sql, vec![Bound::from(rows.as_slice())]).await?;
        all(table, &rows)
    }

    fn write(&mut self, read: Vec<(&Table, Vec<Row>)>) -> Result<(), BackupFault> {
        read.iter().try_for_each(|(table, rows)| self.out.rows(&table.name, rows))
    }

    /// Begins a transaction whose statements see the same state.
    async fn begin(&mut self) -> Result<(), StoreError> {
        let sql = match Dialect::of(self.conn) {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        sql::execute(self.conn, sql, vec![]).await.map(drop)
    }

    async fn end(&mut self) -> Result<(), StoreError> {
        sql::execute(self.conn, "COMMIT", vec![]).await.map(drop)
    }
}

/// Returns whether a row of the facts is the mark of a store.
pub(super) fn is_mark(table: &Table, row: &Row) -> bool {
    picked(table, row, &["name"]).is_some_and(|name| name == [Value::from(MARK)])
}

fn all(table: &Table, rows: &[sqlx::any::AnyRow]) -> Result<Vec<Row>, StoreError> {
    rows.iter().map(|row| decoded(table, row)).collect()
}

/// Returns whether a name is that of a batch, and not of one that was read.
fn is_new(read: &HashSet<[u8; 16]>, name: &Row) -> bool {
    name.iter().all(Value::is_string) && !read.contains(&hash(name))
}

fn hash(name: &Row) -> [u8; 16] {
    let hash = Sha256::digest(crate::batch::json_of(name));
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}
