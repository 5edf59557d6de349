//! Keeps what has to survive a crash: the ledger, the connections, the shelf and the outbox.
//!
//! Invariant: no transaction is open while anything but the database is waited for.
//!
//! A worker sees the store as [`Storage`], which combines one trait per subject; each is implemented for [`Store`] beside
//! its SQL. Methods of [`Store`] itself are for commands and tests.

pub mod access;
pub mod accounts;
pub mod actor;
pub mod audit;
mod batch_details;
pub mod connections;
pub mod discarded;
mod error;
mod examine;
mod facts;
mod file;
pub mod folders;
mod former;
mod group;
mod health;
pub mod history;
pub mod instances;
pub mod ledger;
mod location;
mod lock_wait;
mod migrations;
mod open;
pub mod outbox;
pub mod portable;
mod preparing;
mod prune;
pub mod removal;
pub mod replays;
mod restores;
pub mod rotation;
pub mod search;
pub mod shelf;
mod sql;
mod storage;
#[cfg(test)]
mod tests;
mod tls;
pub mod trend;
pub mod unbound;
pub mod undos;
pub mod unfinished;
mod unreadable;
pub mod waiting;
pub mod windows;
mod words;
pub mod written;

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::config;

use self::open::Use;

pub use self::accounts::AccountStore;
pub use self::connections::ConnectionStore;
pub use self::error::StoreError;
pub use self::examine::KnownWorker;
pub use self::file::{FileChange, FileLost, FilePart, unwritable_folder};
pub use self::folders::FolderStore;
pub use self::health::StoreHealth;
pub use self::instances::InstanceStore;
pub use self::ledger::LedgerStore;
pub use self::location::StoreLocation;
pub use self::migrations::TablesState;
pub use self::outbox::OutboxStore;
pub use self::prune::{HeldBack, PruneCounts, PruneRound, RetentionStore};
pub use self::replays::ReplayStore;
pub use self::search::SearchStore;
pub use self::shelf::ShelfStore;
pub use self::storage::{Storage, UndoStorage};
pub use self::trend::TrendStore;
pub use self::unbound::UnboundStore;
pub use self::unreadable::UnreadableRow;
pub use self::windows::WindowStore;
pub use self::written::WrittenStore;

/// A log directive that every filter must contain: the worker reports itself what the database library would report of slow
/// and broken connections.
pub const LOG_DIRECTIVE: &str = "sqlx=off";

/// How long requests under way may take once a file has changed.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// The store in an SQLite file or a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct Store {
    readers: AnyPool,
    writers: AnyPool,
    clock: Clock,
    group: group::Group,
    unreadable: unreadable::UnreadableRows,
    /// The files of a worker's store; commands hold none, and neither does a database on a server.
    file: Option<Arc<file::HeldFile>>,
    made: bool,
}

impl Store {
    /// Opens the store at `config.url` and migrates its tables; with `create`, creates it if it is missing.
    ///
    /// The time is the database's where several workers share it, and `clock`'s otherwise.
    ///
    /// # Errors
    /// When the store is missing, cannot be opened, or was written by a newer version.
    pub async fn open(config: &config::Store, create: bool, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self::of(open::open(config, if create { Use::Create } else { Use::Command }, clock).await?))
    }

    /// Opens the store for a worker: a file is then its alone until [`StoreHealth::close`], or the end of the process.
    ///
    /// # Errors
    /// As [`Store::open`], and when another worker uses the file.
    pub async fn open_for_worker(config: &config::Store, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self::of(open::open(config, Use::Worker, clock).await?))
    }

    /// Opens a store that a person says was set back: as for a worker, also where it was moved elsewhere.
    ///
    /// # Errors
    /// As [`Store::open_for_worker`].
    pub async fn open_to_note_restore(config: &config::Store, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self::of(open::open(config, Use::SetBack, clock).await?))
    }

    fn of(opened: open::Opened) -> Self {
        let open::Opened { dialect, readers, writers, clock, file, made } = opened;
        let unreadable = unreadable::UnreadableRows::default();
        let group = group::Group::start(dialect, writers.clone(), clock.clone(), unreadable.clone());
        let file = file.map(Arc::new);
        if let Some(file) = file.clone() {
            group.accompany(|closed| async move { file.keep_log_short(closed).await });
        }
        Self { readers, writers, clock, group, unreadable, file, made }
    }

    /// Waits until one of the files of a worker's store is not where it was; forever for a database on a server.
    pub async fn file_changed(&self) -> FileChange {
        match &self.file {
            Some(file) => file.lost().await,
            None => std::future::pending().await,
        }
    }

    /// Ends all use of a store whose files have changed: what was stored is written into the database file, and copied
    /// if the file was deleted. The files stay locked and open until the process ends.
    pub async fn give_up_file(&self, change: FileChange) -> FileLost {
        // Nothing more is written from here on. Requests that wait are answered as those of a closed store.
        let closing = async {
            self.group.close().await;
            self.readers.close().await;
            self.writers.close().await;
        };
        if timeout(LAST_REQUESTS, closing).await.is_err() {
            tracing::warn!("a request to the store did not end");
        }
        match &self.file {
            Some(file) => file.save(change).await,
            None => FileLost { change, is_complete: false, is_deleted: false, copy: None },
        }
    }

    /// Whether this call of [`Store::open`] created the store.
    pub fn was_made(&self) -> bool {
        self.made
    }

    /// Returns a connection to read with.
    async fn reading(&self) -> Result<PoolConnection<Any>, StoreError> {
        Ok(self.readers.acquire().await?)
    }

    /// Returns a connection to read with, and the store's time, for statements that compare times.
    async fn reading_at(&self) -> Result<(PoolConnection<Any>, i64), StoreError> {
        let mut conn = self.reading().await?;
        let now = sql::time(&mut conn, &self.clock).await?;
        Ok((conn, now))
    }

    /// Returns a connection to write with. A file has only one, so that writers wait for each other in order.
    async fn writing(&self) -> Result<PoolConnection<Any>, StoreError> {
        Ok(self.writers.acquire().await?)
    }

    /// Returns a connection to write with, and the store's time, for statements that store times.
    async fn writing_at(&self) -> Result<(PoolConnection<Any>, i64), StoreError> {
        let mut conn = self.writing().await?;
        let now = sql::time(&mut conn, &self.clock).await?;
        Ok((conn, now))
    }
}
