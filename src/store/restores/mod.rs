//! Keeps when the store was restored from an older copy of itself, and notices that it was.
//!
//! Beside an SQLite file, another one holds the store's id and how far its counter of writes had come. It is written after
//! the store, so that a crash can only leave it behind: a store whose counter is lower was set back. A database on a server
//! has no such file; there a running worker notices that the counter has gone back under it.

pub(super) mod counter;

use std::path::Path;
use std::time::Duration;

use jiff::{Timestamp, TimestampRound, Unit};
use serde_json::json;
use sqlx::AnyConnection;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;

use self::counter::{Counter, Start, start};
use super::audit::{self, AuditEntry};
use super::health::LATEST_TIMES;
use super::portable::marks;
use super::sql::{self, Bound, Columns, Transaction};
use super::{Store, StoreError, StoreLocation};
use crate::batch::restored::{Restore, Restored};
use crate::config;

/// The fact that recognizes a store and all its copies.
const STORE_ID: &str = "store_id";
/// The fact that counts writes: once a second at most, and only where something was written.
const WRITES: &str = "writes";
/// How often the counter is raised.
const PERIOD: Duration = Duration::from_secs(1);
/// The most restores that are read.
const MOST_RESTORES: i64 = 1_000;

impl Store {
    /// Returns what is known of restores.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn restored(&self) -> Result<Restored, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        Ok(Restored::of(&restores(&mut conn).await?, now))
    }

    /// Returns the latest time that the store knows of, in milliseconds since 1970; 0 if it is empty.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn latest_time(&self) -> Result<i64, StoreError> {
        let rows = sql::fetch(&mut *self.reading().await?, LATEST_TIMES, vec![]).await?;
        Ok(rows.first().map_or(Ok(None), |row| row.maybe_int("at"))?.unwrap_or(0))
    }

    /// Checks that the store was not set back to an older copy since a worker last used it, and has that noticed from now
    /// on.
    ///
    /// # Errors
    /// When it was set back, or does not answer.
    pub async fn require_not_set_back(&self, config: &config::Store) -> Result<(), StoreError> {
        let place = StoreLocation::of(config);
        let file = config.file();
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let conn = transaction.conn()?;
        let stored = stored(conn).await?;
        let started = match file.as_deref().and_then(counter::read) {
            Some(kept) => start(&kept, stored.as_ref()),
            None => Start::Known,
        };
        if started != Start::Known {
            drop(transaction);
            let at = copy_time(self.latest_time().await?);
            return Err(StoreError::SetBack { place: place.to_string(), at, is_other: started == Start::Other });
        }
        let mut counter =
            stored.unwrap_or_else(|| Counter { store: Uuid::now_v7().simple().to_string(), ..Counter::default() });
        counter.writes += 1;
        keep(conn, &counter).await?;
        transaction.commit().await?;
        if let Some(file) = &file {
            counter::write(file, &counter);
        }
        Ok(())
    }

    /// Counts what is written, and waits until the store is found to be set back, or a restore of it to be noted.
    pub async fn set_back(&self, config: &config::Store) -> StoreError {
        let file = config.file();
        let (mut last, mut counted, mut known) = (None, None, None);
        let mut due = interval(PERIOD);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            // A store that does not answer is noticed elsewhere.
            match self.count_writes(&mut counted, last).await {
                Ok(Some(counter)) if last.is_some_and(|last| counter.writes <= last) => {
                    let at = copy_time(self.latest_time().await.unwrap_or(0));
                    let place = StoreLocation::of(config).to_string();
                    return StoreError::SetBack { place, at, is_other: false };
                }
                Ok(Some(counter)) => {
                    last = Some(counter.writes);
                    if let Some(file) = &file {
                        counter::write(file, &counter);
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the writes to the store could not be counted"),
            }
            if let Ok(restored) = self.restored().await
                && *known.get_or_insert(restored.times) != restored.times
            {
                return StoreError::Restored;
            }
        }
    }

    /// Raises the counter if something was written since it was raised last; returns where it stands then.
    async fn count_writes(
        &self,
        counted: &mut Option<Instant>,
        last: Option<i64>,
    ) -> Result<Option<Counter>, StoreError> {
        let written = self.group.written().last();
        if written <= *counted && last.is_some() {
            return Ok(None);
        }
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let conn = transaction.conn()?;
        let sql = "UPDATE facts SET value = CAST(CAST(value AS BIGINT) + 1 AS TEXT) WHERE name = $1";
        sql::execute(conn, sql, vec![Bound::Text(WRITES.into())]).await?;
        // A copy that no worker has used yet has no counter at all.
        let counter = stored(conn).await?.unwrap_or_default();
        transaction.commit().await?;
        *counted = written;
        Ok(Some(counter))
    }

    /// Notes that the store was restored from a copy, with its entry in the audit. Returns the restore: its number is above
    /// those that this copy and the file beside it know of.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note_restore(
        &self,
        config: &config::Store,
        (copied_at, until): (i64, i64),
        least_number: u32,
        entry: AuditEntry,
    ) -> Result<Restore, StoreError> {
        let file = config.file();
        let latest_at = self.latest_time().await?;
        let copied = CopyTimes { copied_at, latest_at, until, least_number };
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let noted = note(transaction.conn()?, now, file.as_deref(), copied, entry).await?;
        marks::remove(transaction.conn()?).await?;
        transaction.commit().await?;
        Ok(noted.made_known(file.as_deref()))
    }
}

/// What a copy is, in milliseconds on the store's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct CopyTimes {
    /// When it was made.
    pub(super) copied_at: i64,
    /// What it does not know was created after this time.
    pub(super) latest_at: i64,
    /// Until when batches that arrive are looked up.
    pub(super) until: i64,
    /// The least number of the restore.
    pub(super) least_number: u32,
}

/// A restore that is noted in a transaction.
pub(super) struct Noted {
    restore: Restore,
    counter: Counter,
}

impl Noted {
    /// Has it known beside the store, once the transaction is committed.
    pub(super) fn made_known(self, file: Option<&Path>) -> Restore {
        if let Some(file) = file {
            counter::write(file, &self.counter);
        }
        self.restore
    }
}

/// Notes in a transaction that a store, in this file if it is in one, was restored from a copy.
pub(super) async fn note(
    conn: &mut AnyConnection,
    noted_at: i64,
    file: Option<&Path>,
    copied: CopyTimes,
    entry: AuditEntry,
) -> Result<Noted, StoreError> {
    let CopyTimes { copied_at, latest_at, until, least_number } = copied;
    let kept = file.and_then(counter::read).unwrap_or_default();
    let known = restores(conn).await?.iter().map(|restore| restore.number).max().unwrap_or(0);
    let number = known.max(kept.restores).saturating_add(1).max(least_number);
    let restore = Restore { number, copied_at, latest_at, until, noted_at };
    let sql = "INSERT INTO restores (number, copied_at, latest_at, until, noted_at) VALUES ($1, $2, $3, $4, $5)";
    let bounds = [i64::from(number), copied_at, latest_at, until, noted_at].map(Bound::Int);
    sql::execute(conn, sql, bounds.into()).await?;
    let stored = stored(conn).await?;
    let store = stored.as_ref().map_or_else(|| Uuid::now_v7().simple().to_string(), |stored| stored.store.clone());
    let writes = stored.map_or(0, |stored| stored.writes).max(kept.writes) + 1;
    let counter = Counter { store, writes, restores: number };
    keep(conn, &counter).await?;
    let at = |ms: i64| Timestamp::from_millisecond(ms).map(|at| at.to_string()).unwrap_or_default();
    let after = json!({"number": number, "copied_at": at(copied_at), "until": at(until)});
    let entry = entry.change(Some(json!({"restores": known})), Some(after));
    audit::put(conn, noted_at, std::iter::once(&entry)).await?;
    Ok(Noted { restore, counter })
}

/// Writes a time of which a copy can be: the latest one that it knows of, rounded up to the second.
fn copy_time(latest_at: i64) -> String {
    let up = TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Ceil);
    Timestamp::from_millisecond(latest_at).and_then(|at| at.round(up)).unwrap_or_default().to_string()
}

async fn restores(conn: &mut AnyConnection) -> Result<Vec<Restore>, StoreError> {
    let sql = "SELECT number, copied_at, latest_at, until, noted_at FROM restores ORDER BY number DESC LIMIT $1";
    let rows = sql::fetch(conn, sql, vec![Bound::Int(MOST_RESTORES)]).await?;
    let restore = |row: &sqlx::any::AnyRow| {
        Ok(Restore {
            number: row.whole("number")?,
            copied_at: row.int("copied_at")?,
            latest_at: row.int("latest_at")?,
            until: row.int("until")?,
            noted_at: row.int("noted_at")?,
        })
    };
    rows.iter().map(restore).collect()
}

/// Returns the store's id and counter; nothing for a store that no worker of this version has used.
async fn stored(conn: &mut AnyConnection) -> Result<Option<Counter>, StoreError> {
    let sql = "SELECT name, value FROM facts WHERE name IN ($1, $2)";
    let rows = sql::fetch(conn, sql, vec![Bound::Text(STORE_ID.into()), Bound::Text(WRITES.into())]).await?;
    let (mut store, mut writes) = (None, 0);
    for row in &rows {
        match row.text("name")?.as_str() {
            STORE_ID => store = Some(row.text("value")?),
            _ => writes = row.text("value")?.parse().map_err(|_| StoreError::malformed("value"))?,
        }
    }
    let restores = restores(conn).await?.iter().map(|restore| restore.number).max().unwrap_or(0);
    Ok(store.map(|store| Counter { store, writes, restores }))
}

async fn keep(conn: &mut AnyConnection, counter: &Counter) -> Result<(), StoreError> {
    for (name, value) in [(STORE_ID, counter.store.clone()), (WRITES, counter.writes.to_string())] {
        let sql = "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
        sql::execute(conn, sql, vec![Bound::Text(name.into()), Bound::Text(value)]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_copy_is_never_before_what_it_knows_of() {
        assert_eq!(
            copy_time(1_796_000_000_001),
            "2026-11-30T00:53:21Z".parse::<Timestamp>().map(|at| at.to_string()).unwrap_or_default()
        );
    }
}
