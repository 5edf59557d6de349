//! Keeps how the processes of each worker ended, and over which messages one may have ended.
//!
//! In normal running nothing is written here but the start and the end of a process. Only while a worker works on one
//! message at a time, after an unclean end, it stores the hash of each message before it reads it.

mod model;

use std::collections::BTreeSet;

use async_trait::async_trait;
use sqlx::AnyConnection;

use super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::{Store, StoreError};

pub use self::model::{Instance, StartRule};

/// How long a message is suspected that does not come again.
const SUSPECTED_FOR_MS: i64 = 86_400_000;
/// How long an instance is remembered that does not start again.
const REMEMBERED_FOR_MS: i64 = 90 * 86_400_000;
/// The most suspicions that are read at once; each belongs to an unclean end.
const MOST_SUSPICIONS: i64 = 1_000;

/// How workers remember unclean ends.
#[async_trait]
pub trait InstanceStore: Send + Sync {
    /// Notes that the process `run` of an instance starts, and returns how it has to start. If its last process did not
    /// end in order while it worked on one message at a time, that message is suspected from now on. A second call for
    /// the same process changes nothing.
    ///
    /// # Errors
    /// When the store does not answer; the start may be stored or not.
    async fn begin_instance(&self, name: &str, run: &str) -> Result<StartRule, StoreError>;

    /// Notes that the process `run` ends in order.
    ///
    /// # Errors
    /// When the store does not answer; the end then counts as unclean.
    async fn end_instance(&self, name: &str, run: &str) -> Result<(), StoreError>;

    /// Stores the hash of the one message that the process `run` has in hand.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn set_in_hand(&self, name: &str, run: &str, hash: Option<&str>) -> Result<(), StoreError>;

    /// Returns the hashes of the messages that are suspected.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn suspicions(&self) -> Result<BTreeSet<String>, StoreError>;

    /// Removes a suspicion, because the message is on the shelf as a suspect.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn drop_suspicion(&self, hash: &str) -> Result<(), StoreError>;
}

#[async_trait]
impl InstanceStore for Store {
    async fn begin_instance(&self, name: &str, run: &str) -> Result<StartRule, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let old = |ms: i64| vec![Bound::Int(now.saturating_sub(ms))];
        sql::execute(conn, "DELETE FROM suspicions WHERE suspected_at < $1", old(SUSPECTED_FOR_MS)).await?;
        sql::execute(conn, "DELETE FROM instances WHERE started_at < $1", old(REMEMBERED_FOR_MS)).await?;
        let (instance, suspect) = Instance::begin(read(conn, name).await?, run, now);
        write(conn, name, &instance).await?;
        if let Some(hash) = suspect {
            let sql = "INSERT INTO suspicions (hash, suspected_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING";
            sql::execute(conn, sql, vec![Bound::Text(hash), Bound::Int(now)]).await?;
        }
        transaction.commit().await?;
        Ok(instance.rule())
    }

    async fn end_instance(&self, name: &str, run: &str) -> Result<(), StoreError> {
        self.change_instance(name, |instance| instance.end(run)).await
    }

    async fn set_in_hand(&self, name: &str, run: &str, hash: Option<&str>) -> Result<(), StoreError> {
        self.change_instance(name, |instance| instance.take_in_hand(run, hash)).await
    }

    async fn suspicions(&self) -> Result<BTreeSet<String>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let sql = "SELECT hash FROM suspicions WHERE suspected_at >= $1 LIMIT $2";
        let bounds = vec![Bound::Int(now.saturating_sub(SUSPECTED_FOR_MS)), Bound::Int(MOST_SUSPICIONS)];
        sql::fetch(&mut conn, sql, bounds).await?.iter().map(|row| row.text("hash")).collect()
    }

    async fn drop_suspicion(&self, hash: &str) -> Result<(), StoreError> {
        let mut conn = self.writing().await?;
        let sql = "DELETE FROM suspicions WHERE hash = $1";
        sql::execute(&mut conn, sql, vec![Bound::Text(hash.into())]).await.map(drop)
    }
}

impl Store {
    async fn change_instance(&self, name: &str, change: impl FnOnce(&mut Instance)) -> Result<(), StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let conn = transaction.conn()?;
        if let Some(mut instance) = read(conn, name).await? {
            change(&mut instance);
            write(conn, name, &instance).await?;
        }
        transaction.commit().await
    }
}

/// Reads an instance, and keeps others from changing it until the transaction ends.
async fn read(conn: &mut AnyConnection, name: &str) -> Result<Option<Instance>, StoreError> {
    let sql = format!("SELECT state FROM instances WHERE name = $1 {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, sql, vec![Bound::Text(name.into())]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    // What another version wrote costs a start with one message at a time, and nothing else.
    Ok(Some(serde_json::from_str(&row.text("state")?).unwrap_or_else(|_| Instance::unknown())))
}

async fn write(conn: &mut AnyConnection, name: &str, instance: &Instance) -> Result<(), StoreError> {
    let sql = "INSERT INTO instances (name, state, started_at) VALUES ($1, $2, $3) \
               ON CONFLICT (name) DO UPDATE SET state = excluded.state, started_at = excluded.started_at";
    let state = serde_json::to_string(instance).map_err(|_| StoreError::malformed("state"))?;
    let bounds = vec![Bound::Text(name.into()), Bound::Text(state), Bound::Int(instance.started_at())];
    sql::execute(conn, sql, bounds).await.map(drop)
}
