//! Lists the tables that a backup holds, and reads their columns and keys from the database.
//!
//! The columns come from the database and not from this program, so that a store of an earlier version is read as it is.

use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns, Dialect, Kind};

/// The tables that a backup holds and a copy moves.
pub(in crate::store) const MOVED: [&str; 33] = [
    "facts",
    "restores",
    "master_key_rotation",
    "connections",
    "lane_orders",
    "tokens",
    "tenant_links",
    "sessions",
    "answered_requests",
    "cause_notes",
    "suspicions",
    "accounts",
    "unbound_keys",
    "shelf",
    "discarded",
    "batches",
    "former_values",
    "write_windows",
    "undos",
    "undo_items",
    "pushes",
    "push_parts",
    "batch_history",
    "outbox",
    "written_cases",
    "sources",
    "folders",
    "folder_claims",
    "replays",
    "replay_parts",
    "replay_items",
    "trend",
    "audit",
];

/// The tables that are not moved, each with the reason.
pub(in crate::store) const LEFT_OUT: [(&str, &str); 7] = [
    ("search", "a worker fills it in again from the events and the shelf"),
    ("search_index", "it is the index of `search`"),
    ("search_progress", "it says how far `search` is filled in, which begins again"),
    ("instances", "it is about the processes of the workers of one place"),
    ("trend_sources", "it is about additions of workers that run"),
    ("_sqlx_expansions", "the migrations of the new place write it"),
    ("_sqlx_migrations", "the migrations of the new place write it"),
];

/// The functions of a store on a server.
const FUNCTIONS: [&str; 1] = ["search_junctions(TEXT)"];

/// Removes everything of a store from its database.
pub(in crate::store) async fn drop_all(conn: &mut AnyConnection) -> Result<(), StoreError> {
    for name in MOVED.into_iter().chain(LEFT_OUT.iter().map(|(name, _)| *name)) {
        sql::execute(conn, format!("DROP TABLE IF EXISTS {name}"), vec![]).await?;
    }
    let functions: &[&str] = if Dialect::of(conn).is_shared() { &FUNCTIONS } else { &[] };
    for name in functions {
        sql::execute(conn, format!("DROP FUNCTION IF EXISTS {name}"), vec![]).await?;
    }
    Ok(())
}

/// A column that is not moved: it says what is in the table `search`.
const LEFT_OUT_COLUMN: (&str, &str) = ("shelf", "searched");

/// The tables whose rows are numbered by the database.
pub(in crate::store) const NUMBERED: [&str; 3] = ["shelf", "audit", "replays"];

/// A table as it is moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Table {
    /// Its name.
    pub(in crate::store) name: String,
    /// Its columns by name, so that their order is the same on both databases.
    pub(in crate::store) columns: Vec<Column>,
    /// The columns of its primary key, in the order of the key.
    pub(in crate::store) key: Vec<String>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct Column {
    /// Its name.
    pub(in crate::store) name: String,
    /// What it holds.
    pub(in crate::store) kind: ColumnKind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::store) enum ColumnKind {
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// Bytes.
    Bytes,
}

impl ColumnKind {
    fn of(declared: &str) -> Option<Self> {
        match declared.to_ascii_uppercase().as_str() {
            "TEXT" => Some(Self::Text),
            "BIGINT" | "INTEGER" => Some(Self::Int),
            "BLOB" | "BYTEA" => Some(Self::Bytes),
            _ => None,
        }
    }

    /// Returns the kind as statements with row sets name it.
    pub(in crate::store) fn in_row_set(self) -> Kind {
        match self {
            Self::Text => Kind::Text,
            Self::Int => Kind::Int,
            Self::Bytes => Kind::Bytes,
        }
    }
}

impl Table {
    /// Returns the kind of a column.
    pub(in crate::store) fn kind(&self, column: &str) -> Option<ColumnKind> {
        self.columns.iter().find(|known| known.name == column).map(|known| known.kind)
    }

    /// Returns the place of a column in a row.
    pub(in crate::store) fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| known.name == column)
    }

    /// Returns the names of its columns, each behind `before`, for a statement.
    pub(in crate::store) fn listed(&self, before: &str) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| format!("{before}{}", column.name)).collect();
        names.join(", ")
    }
}

/// Reads the tables that a store has of those that are moved, in their order.
pub(in crate::store) async fn catalog(conn: &mut AnyConnection) -> Result<Vec<Table>, StoreError> {
    let mut tables = Vec::with_capacity(MOVED.len());
    for name in MOVED {
        let columns = columns(conn, name).await?;
        if !columns.is_empty() {
            tables.push(Table { name: name.into(), columns, key: key(conn, name).await? });
        }
    }
    Ok(tables)
}

async fn columns(conn: &mut AnyConnection, table: &str) -> Result<Vec<Column>, StoreError> {
    let sql = match Dialect::of(conn) {
        Dialect::Sqlite => "SELECT name, type AS declared FROM pragma_table_info($1)",
        Dialect::Postgres => {
            "SELECT CAST(column_name AS TEXT) AS name, CAST(data_type AS TEXT) AS declared \
             FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1"
        }
    };
    let rows = sql::fetch(conn, sql, vec![Bound::Text(table.into())]).await?;
    let mut columns = Vec::with_capacity(rows.len());
    for row in &rows {
        let (name, declared) = (row.text("name")?, row.text("declared")?);
        let kind = ColumnKind::of(&declared).ok_or_else(|| StoreError::malformed(&format!("{table}.{name}")))?;
        if (table, name.as_str()) != LEFT_OUT_COLUMN {
            columns.push(Column { name, kind });
        }
    }
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(columns)
}

async fn key(conn: &mut AnyConnection, table: &str) -> Result<Vec<String>, StoreError> {
    let sql = match Dialect::of(conn) {
        Dialect::Sqlite => "SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk",
        Dialect::Postgres => {
            "SELECT CAST(c.column_name AS TEXT) AS name FROM information_schema.table_constraints t \
             JOIN information_schema.key_column_usage c ON c.constraint_schema = t.constraint_schema \
             AND c.constraint_name = t.constraint_name AND c.table_name = t.table_name \
             WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_schema = current_schema() AND t.table_name = $1 \
             ORDER BY c.ordinal_position"
        }
    };
    sql::fetch(conn, sql, vec![Bound::Text(table.into())]).await?.iter().map(|row| row.text("name")).collect()
}
