//! How does one statement serve many rows, and both databases? The one place that knows how they differ.

use std::time::Duration;

use serde::Serialize;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Row};

use super::StoreError;
use crate::clock::Clock;

/// A statement that takes longer is given up, so that a database that vanished without a word is noticed.
const LONGEST: Duration = Duration::from_secs(30);

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
}

/// The database's time in milliseconds since 1970.
const POSTGRES_TIME: &str = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now";

impl Dialect {
    pub(super) fn of(conn: &AnyConnection) -> Self {
        if conn.backend_name() == "PostgreSQL" { Self::Postgres } else { Self::Sqlite }
    }

    /// A statement's row set: JSON rows bound as parameter `$1`, named `r`, with these columns.
    ///
    /// One parameter carries any number of rows, so a group of pushes costs as many statements as one.
    pub(super) fn rows(self, columns: &[(&str, Kind)]) -> String {
        let in_sqlite = |(name, kind): &(&str, Kind)| match kind {
            Kind::Text => format!("value->>'{name}' AS {name}"),
            Kind::Int => format!("CAST(value->>'{name}' AS BIGINT) AS {name}"),
        };
        let in_postgres = |(name, kind): &(&str, Kind)| match kind {
            Kind::Text => format!("{name} TEXT"),
            Kind::Int => format!("{name} BIGINT"),
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

    /// The end of a `SELECT` whose rows this statement takes: rows that another replica is just taking are left to it.
    pub(super) fn skip_taken(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR NO KEY UPDATE SKIP LOCKED",
        }
    }

    /// The end of a `SELECT` whose rows this transaction changes: others wait for it.
    pub(super) fn keep(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR NO KEY UPDATE",
        }
    }

    /// The end of a `SELECT` whose rows have to be there until this transaction ends; others may change them meanwhile.
    pub(super) fn stay(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR KEY SHARE",
        }
    }

    /// The end of a `SELECT` whose rows this transaction may remove: it waits for those who need them to be there.
    pub(super) fn remove(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "FOR UPDATE",
        }
    }

    /// Whether several workers can use the store at once. The lock on a file keeps them apart.
    pub(super) fn is_shared(self) -> bool {
        self == Self::Postgres
    }
}

/// What a column of a row set holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Int,
}

/// A value for one parameter.
pub(super) enum Bound {
    Text(String),
    Int(i64),
    MaybeInt(Option<i64>),
    MaybeText(Option<String>),
    Blob(Vec<u8>),
}

impl<T: Serialize> From<&[T]> for Bound {
    fn from(rows: &[T]) -> Self {
        Self::Text(serde_json::to_string(rows).unwrap_or_default())
    }
}

fn query(sql: String, parameters: Vec<Bound>) -> sqlx::query::Query<'static, Any, AnyArguments> {
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

/// Runs a statement and tells how many rows it changed.
pub(super) async fn execute(
    conn: &mut AnyConnection,
    sql: impl Into<String>,
    parameters: Vec<Bound>,
) -> Result<u64, StoreError> {
    Ok(in_time(query(sql.into(), parameters).execute(conn)).await?.rows_affected())
}

/// Runs a statement and gives the rows it returns.
pub(super) async fn fetch(
    conn: &mut AnyConnection,
    sql: impl Into<String>,
    parameters: Vec<Bound>,
) -> Result<Vec<AnyRow>, StoreError> {
    in_time(query(sql.into(), parameters).fetch_all(conn)).await
}

async fn in_time<T>(statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(LONGEST, statement).await {
        Ok(end) => Ok(end?),
        Err(_) => Err(StoreError::Away(format!("no answer within {LONGEST:?}"))),
    }
}

/// The store's time: the database's where several workers share it, which is asked; the clock's otherwise.
pub(super) async fn time(conn: &mut AnyConnection, clock: &Clock) -> Result<i64, StoreError> {
    match Dialect::of(conn) {
        Dialect::Sqlite => Ok(clock.now()),
        Dialect::Postgres => lead(clock, &fetch(conn, POSTGRES_TIME, vec![]).await?),
    }
}

/// Sets the clock to the time that the database told.
fn lead(clock: &Clock, told: &[AnyRow]) -> Result<i64, StoreError> {
    let now = told.first().map_or(Err(StoreError::malformed("now")), |row| row.int("now"))?;
    clock.set(now);
    Ok(now)
}

/// A transaction that changes something. One that is dropped takes its connection with it, and so is undone.
pub(super) struct Transaction {
    conn: Option<PoolConnection<Any>>,
    /// When it began, in milliseconds on the store's clock.
    pub(super) now: i64,
}

impl Transaction {
    /// Begins one on a connection of a pool.
    pub(super) async fn begin(pool: &AnyPool, clock: &Clock) -> Result<Self, StoreError> {
        Self::begin_on(pool.acquire().await?, clock, false).await
    }

    /// Begins one; on PostgreSQL the same message also fetches the time. Where the server may lose it in a crash, as it
    /// only saves work, its commit does not wait for the disk.
    pub(super) async fn begin_on(
        conn: PoolConnection<Any>,
        clock: &Clock,
        may_be_lost: bool,
    ) -> Result<Self, StoreError> {
        let dialect = Dialect::of(&conn);
        let mut begun = Self { conn: Some(conn), now: 0 };
        begun.now = match dialect {
            Dialect::Sqlite => {
                execute(begun.conn()?, "BEGIN IMMEDIATE", vec![]).await?;
                clock.now()
            }
            Dialect::Postgres => {
                let how = if may_be_lost { "SET LOCAL synchronous_commit = off; " } else { "" };
                let both = sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {how}{POSTGRES_TIME}")));
                lead(clock, &in_time(both.fetch_all(begun.conn()?)).await?)?
            }
        };
        Ok(begun)
    }

    /// Its connection.
    pub(super) fn conn(&mut self) -> Result<&mut AnyConnection, StoreError> {
        self.conn.as_deref_mut().ok_or(StoreError::Closed)
    }

    /// Makes what was done in it last. After an error it may last or not.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.commit_and_go_on().await.map(drop)
    }

    /// Makes it last, as [`Self::commit`] does, and gives the connection back: a pool tries each that it takes back,
    /// which is a round trip.
    pub(super) async fn commit_and_go_on(self) -> Result<PoolConnection<Any>, StoreError> {
        self.end("COMMIT").await
    }

    /// Undoes it and keeps the connection.
    pub(super) async fn roll_back(self) -> Result<(), StoreError> {
        self.end("ROLLBACK").await.map(drop)
    }

    async fn end(mut self, how: &'static str) -> Result<PoolConnection<Any>, StoreError> {
        execute(self.conn()?, how, vec![]).await?;
        self.conn.take().ok_or(StoreError::Closed)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            drop(conn.detach());
        }
    }
}

/// Keeps other replicas that ask for the same `turn` waiting until this transaction ends.
pub(super) async fn take_turns(conn: &mut AnyConnection, turn: i64) -> Result<(), StoreError> {
    if Dialect::of(conn).is_shared() {
        execute(conn, "SELECT pg_advisory_xact_lock($1)", vec![Bound::Int(turn)]).await?;
    }
    Ok(())
}

/// Columns by name, in the forms that the store keeps.
pub(super) trait Columns {
    fn text(&self, name: &str) -> Result<String, StoreError>;
    fn maybe_text(&self, name: &str) -> Result<Option<String>, StoreError>;
    fn int(&self, name: &str) -> Result<i64, StoreError>;
    fn maybe_int(&self, name: &str) -> Result<Option<i64>, StoreError>;
    fn blob(&self, name: &str) -> Result<Vec<u8>, StoreError>;

    fn whole<T: TryFrom<i64>>(&self, name: &str) -> Result<T, StoreError> {
        T::try_from(self.int(name)?).map_err(|_| StoreError::malformed(name))
    }

    fn maybe_whole<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>, StoreError> {
        self.maybe_int(name)?.map(|value| T::try_from(value).map_err(|_| StoreError::malformed(name))).transpose()
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(name)?).map_err(|_| StoreError::malformed(name))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| StoreError::malformed(name))
    }
}

/// A value of a column; one of another kind than this version stores cannot be read.
fn column<'r, T: sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any>>(
    row: &'r AnyRow,
    name: &str,
) -> Result<T, StoreError> {
    row.try_get(name).map_err(|_| StoreError::malformed(name))
}

impl Columns for AnyRow {
    fn text(&self, name: &str) -> Result<String, StoreError> {
        column(self, name)
    }

    fn maybe_text(&self, name: &str) -> Result<Option<String>, StoreError> {
        column(self, name)
    }

    fn int(&self, name: &str) -> Result<i64, StoreError> {
        column(self, name)
    }

    fn maybe_int(&self, name: &str) -> Result<Option<i64>, StoreError> {
        column(self, name)
    }

    fn blob(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        column(self, name)
    }
}
