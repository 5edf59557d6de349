//! Runs statements that serve many rows on both databases; the one place that knows how the databases differ.

mod columns;
mod conditions;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AnyConnection, AssertSqlSafe};

use super::StoreError;
use crate::clock::Clock;

pub(super) use self::columns::Columns;
pub(super) use self::conditions::Conditions;
pub(super) use self::transaction::{Transaction, take_turns};

/// The longest time that a statement may take, so that a database that vanished without notice is noticed.
const LONGEST: Duration = Duration::from_secs(30);

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Dialect {
    Sqlite,
    Postgres,
}

/// The database's time in milliseconds since 1970.
const POSTGRES_TIME: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now";

impl Dialect {
    pub(in crate::store) fn of(conn: &AnyConnection) -> Self {
        if conn.backend_name() == "PostgreSQL" { Self::Postgres } else { Self::Sqlite }
    }

    /// A statement's row set: JSON rows bound as parameter `$1`, named `r`, with these columns.
    ///
    /// One parameter carries any number of rows, so a group of pushes costs as many statements as one.
    pub(in crate::store) fn rows(self, columns: &[(&str, Kind)]) -> String {
        let in_sqlite = |(name, kind): &(&str, Kind)| match kind {
            Kind::Text => format!("value->>'{name}' AS {name}"),
            Kind::Int => format!("CAST(value->>'{name}' AS BIGINT) AS {name}"),
            Kind::Bytes => format!("unhex(substr(value->>'{name}', 3)) AS {name}"),
        };
        let in_postgres = |(name, kind): &(&str, Kind)| match kind {
            Kind::Text => format!("{name} TEXT"),
            Kind::Int => format!("{name} BIGINT"),
            Kind::Bytes => format!("{name} BYTEA"),
        };
        match self {
            Self::Sqlite => {
                let columns: Vec<String> = columns.iter().map(in_sqlite).collect();
                format!("(SELECT {} FROM jsonb_each($1)) AS r", columns.join(", "))
            }
            Self::Postgres => {
                let columns: Vec<String> = columns.iter().map(in_postgres).collect();
                format!("json_to_recordset(CAST($1 AS JSON)) AS r({})", columns.join(", "))
            }
        }
    }

    /// The words behind the name of a table that has SQLite find its rows by an index. It knows nothing of the content of a
    /// table, and reads all rows with the same beginning of a primary key instead, as of one replay. A server keeps
    /// statistics.
    pub(in crate::store) fn by_index(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!("INDEXED BY {index}"),
            Self::Postgres => String::new(),
        }
    }

    /// The end of a `SELECT` whose rows this statement takes: rows that another replica is just taking are left to it.
    pub(in crate::store) fn skip_taken(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR NO KEY UPDATE SKIP LOCKED",
        }
    }

    /// The end of a `SELECT` whose rows this transaction changes: others wait for it.
    pub(in crate::store) fn keep(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR NO KEY UPDATE",
        }
    }

    /// The end of a `SELECT` whose rows have to be there until this transaction ends; others may change them meanwhile.
    pub(in crate::store) fn stay(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR KEY SHARE",
        }
    }

    /// The end of a `SELECT` whose rows have to be as they are until this transaction ends: who changes them waits for it.
    pub(in crate::store) fn stay_as_is(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR SHARE",
        }
    }

    /// The end of a `SELECT` whose rows this transaction may remove: it waits for those who need them to be there.
    pub(in crate::store) fn remove(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR UPDATE",
        }
    }

    /// Whether several workers can use the store at once. The lock on a file keeps them apart.
    pub(in crate::store) fn is_shared(self) -> bool {
        self == Self::Postgres
    }
}

/// What a column of a row set holds.
#[derive(Clone, Copy)]
pub(in crate::store) enum Kind {
    Text,
    Int,
    /// Bytes, which travel as [`bytes_in_row`] writes them.
    Bytes,
}

/// Returns bytes as they travel in a row set.
pub(in crate::store) fn bytes_in_row(bytes: &[u8]) -> String {
    format!("\\x{}", crate::batch::hex(bytes))
}

/// A value for one parameter.
pub(in crate::store) enum Bound {
    Text(String),
    Int(i64),
    MaybeInt(Option<i64>),
    MaybeText(Option<String>),
    Blob(Arc<Vec<u8>>),
}

impl<T: Serialize> From<&[T]> for Bound {
    fn from(rows: &[T]) -> Self {
        Self::Text(without_nul_escapes(crate::batch::json_of(rows)))
    }
}

fn query(sql: String, parameters: Vec<Bound>) -> sqlx::query::Query<'static, Any, AnyArguments> {
    tracing::trace!(sql, "a statement");
    let query = sqlx::query(AssertSqlSafe(sql));
    parameters.into_iter().fold(query, |query, parameter| match parameter {
        Bound::Text(text) => query.bind(without_nul(text)),
        Bound::Int(number) => query.bind(number),
        Bound::MaybeInt(number) => query.bind(number),
        Bound::MaybeText(text) => query.bind(text.map(without_nul)),
        Bound::Blob(bytes) => query.bind(bytes),
    })
}

/// PostgreSQL keeps no NUL in a text; one that came in a message must not keep the message from being stored.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

/// The same for rows as JSON, where a NUL is an escape. In a JSON text that is a value itself, the backslash is escaped
/// again, and PostgreSQL keeps it.
fn without_nul_escapes(rows: String) -> String {
    const NUL: &str = "\\u0000";
    if !rows.contains(NUL) {
        return rows;
    }
    let (mut kept, mut rest) = (String::with_capacity(rows.len()), rows.as_str());
    while let Some(at) = rest.find(NUL) {
        let before = &rest[..at];
        kept.push_str(before);
        let backslashes = kept.len() - kept.trim_end_matches('\\').len();
        kept.push_str(if backslashes.is_multiple_of(2) { "\\ufffd" } else { NUL });
        rest = &rest[at + NUL.len()..];
    }
    kept + rest
}

/// Runs a statement and returns how many rows it changed.
pub(super) async fn execute(
    conn: &mut AnyConnection,
    sql: impl Into<String>,
    parameters: Vec<Bound>,
) -> Result<u64, StoreError> {
    Ok(in_time(query(sql.into(), parameters).execute(conn)).await?.rows_affected())
}

/// Runs a statement and returns its rows.
pub(super) async fn fetch(
    conn: &mut AnyConnection,
    sql: impl Into<String>,
    parameters: Vec<Bound>,
) -> Result<Vec<AnyRow>, StoreError> {
    in_time(query(sql.into(), parameters).fetch_all(conn)).await
}

/// Runs a statement and reads its rows one by one, so that many of them take no memory at once.
pub(super) async fn fetch_each(
    conn: &mut AnyConnection,
    sql: impl Into<String>,
    parameters: Vec<Bound>,
    mut read: impl FnMut(&AnyRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut rows = query(sql.into(), parameters).fetch(conn);
    in_time(async {
        while let Some(row) = rows.try_next().await? {
            read(&row)?;
        }
        Ok::<(), StoreError>(())
    })
    .await
}

async fn in_time<T, E>(statement: impl Future<Output = Result<T, E>>) -> Result<T, StoreError>
where
    StoreError: From<E>,
{
    match tokio::time::timeout(LONGEST, statement).await {
        Ok(end) => Ok(end?),
        Err(_) => Err(StoreError::Away(format!("no answer within {LONGEST:?}"))),
    }
}

/// Returns the store's time: the database's where several workers share it, which is fetched; the clock's otherwise.
pub(super) async fn time(conn: &mut AnyConnection, clock: &Clock) -> Result<i64, StoreError> {
    match Dialect::of(conn) {
        Dialect::Sqlite => Ok(clock.now()),
        Dialect::Postgres => lead(clock, &fetch(conn, POSTGRES_TIME, vec![]).await?),
    }
}

/// Sets the clock to the time that the database returned.
fn lead(clock: &Clock, rows: &[AnyRow]) -> Result<i64, StoreError> {
    let now = rows.first().map_or(Err(StoreError::malformed("now")), |row| row.int("now"))?;
    clock.set(now);
    Ok(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_in_a_row_is_replaced_and_one_in_a_json_text_of_a_row_stays() {
        let text = |value: &str| {
            let Bound::Text(text) = Bound::from([value].as_slice()) else { panic!() };
            text
        };
        assert_eq!(text("a\0b\0"), r#"["a\ufffdb\ufffd"]"#);
        assert_eq!(text("a\\\0"), r#"["a\\\ufffd"]"#);
        let nested = serde_json::to_string("\0").unwrap();
        assert_eq!(serde_json::from_str::<[String; 1]>(&text(&nested)).unwrap(), [nested]);
    }
}
