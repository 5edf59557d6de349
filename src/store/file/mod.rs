//! Holds an SQLite store's files for the life of a worker, and gives them up when they are moved away under it.

mod explain;
mod lock;
mod log;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, timeout};

pub(super) use self::explain::explained;
pub use self::explain::unwritable_folder;
use self::lock::FileLock;
use self::watch::OpenFiles;
pub use self::watch::{FileChange, FilePart};
use super::StoreError;
use super::lock_wait::{LOCK_WAIT, wait_for_lock};
use super::sql::{self, Columns};

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(2);
/// How long it may take to copy a file that has lost its name.
const LONGEST_COPY: Duration = Duration::from_secs(1_800);

/// A lock that was taken before anything else opened the file.
#[derive(Debug)]
pub(super) struct Locked {
    lock: FileLock,
}

impl Locked {
    /// Takes the lock of the store in `file`.
    pub(super) fn take(file: &Path) -> Result<Self, StoreError> {
        Ok(Self { lock: FileLock::take(file)? })
    }

    /// Lets another process have the file.
    pub(super) fn release(self) {
        self.lock.release();
    }

    /// Holds the files by a connection of its own, which has them open, and waits for nobody.
    pub(super) async fn hold(self, file: &Path, mut keeper: AnyConnection) -> Result<HeldFile, StoreError> {
        wait_for_lock(&mut keeper, Duration::ZERO).await?;
        sql::fetch(&mut keeper, "SELECT COUNT(*) AS tables FROM sqlite_schema", vec![]).await?;
        let files = OpenFiles::of(file).map_err(|error| StoreError::Database(Arc::new(sqlx::Error::Io(error))))?;
        let held = HeldFile {
            file: file.to_owned(),
            lock: self.lock,
            files: Arc::new(files),
            keeper: Mutex::new(Some(keeper)),
            is_closing: AtomicBool::new(false),
        };
        match held.change() {
            None => Ok(held),
            Some(change) => Err(StoreError::Away(change.to_string())),
        }
    }
}

/// The files of a worker's store.
#[derive(Debug)]
pub(super) struct HeldFile {
    file: PathBuf,
    lock: FileLock,
    files: Arc<OpenFiles>,
    /// A connection that is open for as long as the worker runs, since SQLite removes its `-wal` with the last one.
    keeper: Mutex<Option<AnyConnection>>,
    is_closing: AtomicBool,
}

/// The worker's store is no longer where it was, and nothing more is written to it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{change} while the worker was using it; the worker has stopped")]
pub struct FileLost {
    /// What was noticed.
    pub change: FileChange,
    /// Whether everything that was stored is in the database file now.
    pub is_complete: bool,
    /// Whether the database file had lost its last name, so that it ends with the process.
    pub is_deleted: bool,
    /// The copy of a deleted file.
    pub copy: Option<PathBuf>,
}

impl HeldFile {
    pub(super) fn change(&self) -> Option<FileChange> {
        self.files.change(&self.lock)
    }

    /// Returns a change that the store does not make itself.
    fn loss(&self) -> Option<FileChange> {
        // In this order: the store says first that it is going to change its files.
        self.change().filter(|_| !self.is_closing.load(Ordering::SeqCst))
    }

    /// Whether one of the files was taken away.
    #[cfg(test)]
    pub(super) fn is_lost(&self) -> bool {
        self.loss().is_some()
    }

    /// Waits until one of the files is taken away.
    pub(super) async fn lost(&self) -> FileChange {
        let mut due = interval(PERIOD);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            if let Some(change) = self.loss() {
                return change;
            }
        }
    }

    /// Closes the last connection, once all others are closed, and lets another worker have the file.
    pub(super) async fn close(&self) {
        // SQLite removes two of the files then.
        self.is_closing.store(true, Ordering::SeqCst);
        if let Some(keeper) = self.keeper.lock().await.take() {
            // What is not in the database yet stays in the log.
            drop(keeper.close().await);
        }
        self.lock.release();
    }

    /// Saves what was stored: it is in files that may have lost their names.
    pub(super) async fn save(&self, change: FileChange) -> FileLost {
        let is_deleted = self.lock.file().is_ok_and(|file| file.is_deleted());
        let mut lost = FileLost { change, is_complete: false, is_deleted, copy: None };
        let Some(mut keeper) = self.keeper.lock().await.take() else { return lost };
        // The process that made another index does not know what this one says, and may have written to the same log.
        if !(lost.change.part == FilePart::Index && lost.change.is_replaced) {
            let patient = wait_for_lock(&mut keeper, LOCK_WAIT).await;
            lost.is_complete = patient.is_ok() && write_back(&mut keeper).await;
        }
        if is_deleted {
            lost.copy = self.copy(&mut keeper).await;
        }
        // Closed, SQLite could remove files that are not its own any more.
        std::mem::forget(keeper);
        lost
    }

    /// Copies the database beside its former name.
    async fn copy(&self, keeper: &mut AnyConnection) -> Option<PathBuf> {
        let mut name = self.file.clone().into_os_string();
        name.push(format!(".rescued-{}", uuid::Uuid::now_v7().simple()));
        let copy = PathBuf::from(name);
        tracing::error!(file = %copy.display(), "the store's file was deleted; copying what the worker still has open");
        let sql = format!("VACUUM INTO '{}'", copy.to_str()?.replace('\'', "''"));
        let copying = sqlx::query(AssertSqlSafe(sql)).execute(keeper);
        match timeout(LONGEST_COPY, copying).await.map_err(|_| sqlx::Error::PoolTimedOut).and_then(|end| end) {
            Ok(_) => Some(copy),
            Err(error) => {
                tracing::error!(%error, "the deleted store could not be copied");
                None
            }
        }
    }
}

/// Brings what is in the log into the database and empties the log; returns whether all of it arrived.
async fn write_back(keeper: &mut AnyConnection) -> bool {
    let end = sql::fetch(keeper, "PRAGMA wal_checkpoint(TRUNCATE)", vec![]).await;
    match end.and_then(|rows| rows.first().map_or(Ok(1), |row| row.int("busy"))) {
        Ok(busy) => busy == 0,
        Err(error) => {
            tracing::error!(%error, "the log could not be written into the database");
            false
        }
    }
}
