//! Brings the tables of a store to this version, and decides whether this version may work on newer ones.
//!
//! A newer version only adds to the tables, so an earlier one goes on, and can be started again. Where a newer version takes
//! something away, the store keeps the newest step that a version has to know to do without it.

use sqlx::migrate::Migrate;
use sqlx::{AnyConnection, Connection};

use super::StoreError;
use super::migrations::{
    EXPANSIONS, Had, LAST_REQUIRED, REQUIRED, TablesState, compared, migrators, migrators_up_to, newest_step,
};
use super::sql::{self, Bound, Columns, Dialect};

/// The name under which a store keeps the newest step that a version has to know.
const OLDEST_STEP: &str = "oldest_step";
/// Ends the other sessions of the program, except those that wait to prepare the tables. A session keeps the plans of its
/// statements, and those that read whole rows fail once a column was added; a worker opens another session at once.
const END_SESSIONS: &str = "SELECT COUNT(pg_terminate_backend(pid)) AS n FROM pg_stat_activity \
    WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid() \
    AND application_name = current_setting('application_name') AND wait_event IS DISTINCT FROM 'advisory'";

/// Returns whether there is a table.
pub(super) async fn has_table(conn: &mut AnyConnection, name: &str) -> Result<bool, StoreError> {
    let sql = match Dialect::of(conn) {
        Dialect::Sqlite => "SELECT COUNT(*) AS n FROM sqlite_schema WHERE name = $1",
        Dialect::Postgres => "SELECT COUNT(to_regclass($1)) AS n",
    };
    let rows = sql::fetch(conn, sql, vec![Bound::Text(name.into())]).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.int("n"))? > 0)
}

/// Returns whether there are the tables of a store.
pub(super) async fn is_store(conn: &mut AnyConnection) -> Result<bool, StoreError> {
    has_table(conn, REQUIRED).await
}

/// Compares the tables of a store with those of this version.
pub(super) async fn tables_state(conn: &mut AnyConnection) -> Result<TablesState, StoreError> {
    let had = Had {
        required: recorded(conn, REQUIRED).await?,
        expansions: recorded(conn, EXPANSIONS).await?,
        oldest_step: oldest_step(conn).await?,
    };
    Ok(compared(Dialect::of(conn), &had))
}

/// Brings the tables to this version. Several processes must not do it at once.
///
/// # Errors
/// When the store requires a newer version, or does not answer.
pub(super) async fn prepare(conn: &mut AnyConnection) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    let [required, expansions] = migrators(dialect);
    separate(conn).await?;
    required.run_direct(None, &mut *conn, false).await?;
    if oldest_step(conn).await? > newest_step(dialect) {
        return Err(StoreError::Newer);
    }
    expansions.run_direct(None, &mut *conn, false).await?;
    Ok(())
}

/// Makes the tables of a version where there are none.
pub(super) async fn create(conn: &mut AnyConnection, version: i64) -> Result<(), StoreError> {
    for migrator in migrators_up_to(Dialect::of(conn), version) {
        migrator.run_direct(None, &mut *conn, false).await?;
    }
    Ok(())
}

/// Returns the newest migration that a store has had; nothing if there are no tables.
pub(super) async fn newest_had(conn: &mut AnyConnection) -> Result<Option<i64>, StoreError> {
    let (required, expansions) = (recorded(conn, REQUIRED).await?, recorded(conn, EXPANSIONS).await?);
    Ok(required.into_iter().chain(expansions).max())
}

/// Brings the tables on a server to this version, and has the workers of an earlier version begin new sessions if that has
/// changed tables.
///
/// # Errors
/// When the store requires a newer version, or does not answer.
pub(super) async fn prepare_shared(conn: &mut AnyConnection) -> Result<(), StoreError> {
    let changes = is_store(conn).await? && !tables_state(conn).await?.waiting.is_empty();
    prepare(conn).await?;
    if changes {
        sql::fetch(conn, END_SESSIONS, vec![]).await?;
    }
    Ok(())
}

/// Returns the migrations that a table records; none if it is missing.
async fn recorded(conn: &mut AnyConnection, table: &str) -> Result<Vec<i64>, StoreError> {
    if !has_table(conn, table).await? {
        return Ok(Vec::new());
    }
    let rows = sql::fetch(conn, format!("SELECT version FROM {table} ORDER BY version"), vec![]).await?;
    rows.iter().map(|row| row.int("version")).collect()
}

/// Returns the newest step that a version has to know to work on the store.
async fn oldest_step(conn: &mut AnyConnection) -> Result<i64, StoreError> {
    if !has_table(conn, "facts").await? {
        return Ok(0);
    }
    let sql = "SELECT value FROM facts WHERE name = $1";
    let rows = sql::fetch(conn, sql, vec![Bound::Text(OLDEST_STEP.into())]).await?;
    rows.first().map_or(Ok(0), |row| row.parsed("value"))
}

/// Records expansions apart that an earlier build has recorded with the required steps.
async fn separate(conn: &mut AnyConnection) -> Result<(), StoreError> {
    let newest = newest_step(Dialect::of(conn));
    let is_expansion = |step: &i64| (LAST_REQUIRED + 1..=newest).contains(step);
    if !recorded(conn, REQUIRED).await?.iter().any(is_expansion) {
        return Ok(());
    }
    conn.ensure_migrations_table(EXPANSIONS).await?;
    let mut transaction = conn.begin().await?;
    let columns = "version, description, installed_on, success, checksum, execution_time";
    let these = "version > $1 AND version <= $2";
    let bounds = || vec![Bound::Int(LAST_REQUIRED), Bound::Int(newest)];
    let copy = format!(
        "INSERT INTO {EXPANSIONS} ({columns}) SELECT {columns} FROM {REQUIRED} WHERE {these} ON CONFLICT DO NOTHING"
    );
    sql::execute(&mut transaction, copy, bounds()).await?;
    sql::execute(&mut transaction, format!("DELETE FROM {REQUIRED} WHERE {these}"), bounds()).await?;
    transaction.commit().await?;
    Ok(())
}
