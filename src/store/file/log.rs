//! Keeps the log of an SQLite store short while others read and write.

use std::time::Duration;

use sqlx::AnyConnection;
use tokio_util::sync::CancellationToken;

use super::HeldFile;
use crate::store::StoreError;
use crate::store::sql::{self, Columns};

/// The time between two rounds while something is written.
const BUSY: Duration = Duration::from_millis(500);
/// The longest time between two rounds.
const IDLE: Duration = Duration::from_secs(4);
/// The time between two rounds while the log is long.
const LONG: Duration = Duration::from_millis(100);
/// With how many pages a log is long: 32 MB. Pages that change often go into the database once.
const LONG_PAGES: i64 = 8_000;

impl HeldFile {
    /// Brings what is in the log into the database, again and again until `stop`, and has the log begin again when it is
    /// long. Otherwise commits do so themselves, and everything that is to be stored waits meanwhile.
    pub(in crate::store) async fn keep_log_short(&self, stop: CancellationToken) {
        let (mut before, mut pause) = (None, BUSY);
        while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            let log = self.write_back_meanwhile().await.unwrap_or_else(|error| {
                // What is wrong with the file is reported by those who write to it.
                tracing::debug!(%error, "the log could not be written into the database");
                None
            });
            pause = match log {
                Some(Log { is_read: true, pages: LONG_PAGES.. }) => LONG,
                log if log == before => (pause * 2).min(IDLE),
                Some(_) | None => BUSY,
            };
            before = log;
        }
    }

    /// Brings what is in the log into the database without holding up others, as far as no reader needs the former state.
    pub(in crate::store) async fn write_back_meanwhile(&self) -> Result<Option<Log>, StoreError> {
        let mut keeper = self.keeper.lock().await;
        let Some(keeper) = keeper.as_mut() else { return Ok(None) };
        let log = checkpoint(keeper, "PASSIVE").await?;
        if log.pages < LONG_PAGES || log.is_read {
            return Ok(Some(log));
        }
        // Others write again as soon as the little is written back that was added meanwhile: the keeper does not wait for
        // readers, and tries again instead.
        checkpoint(keeper, "RESTART").await.map(Some)
    }
}

/// The log after it was written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Log {
    pub(in crate::store) pages: i64,
    /// Whether it cannot begin again yet, as somebody reads it.
    pub(in crate::store) is_read: bool,
}

async fn checkpoint(keeper: &mut AnyConnection, how: &str) -> Result<Log, StoreError> {
    let rows = sql::fetch(keeper, format!("PRAGMA wal_checkpoint({how})"), vec![]).await?;
    let Some(row) = rows.first() else { return Ok(Log { pages: 0, is_read: false }) };
    let pages = row.int("log")?;
    Ok(Log { pages, is_read: row.int("busy")? != 0 || row.int("checkpointed")? < pages })
}
