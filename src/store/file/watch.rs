//! Notices when a store's files are no longer the ones that were opened.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::lock::{FileLock, FileState};

/// One of a store's files is not where it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The file.
    pub file: PathBuf,
    /// Which of the store's files it is.
    pub part: FilePart,
    /// Whether another file has its name now; otherwise none has.
    pub is_replaced: bool,
}

/// The files of an SQLite store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilePart {
    /// The database.
    Database,
    /// What was written and is not in the database yet, `-wal`.
    Log,
    /// By which processes share the log, `-shm`.
    Index,
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.is_replaced { "replaced by another file" } else { "moved or deleted" };
        write!(f, "{} was {how}", self.file.display())
    }
}

/// The files that a store has opened.
#[derive(Debug)]
pub(super) struct OpenFiles {
    database: PathBuf,
    log: PathBuf,
    opened_log: File,
    index: PathBuf,
    opened_index: FileState,
}

impl OpenFiles {
    /// Finds the files of the store in `database`, while at least one connection has them open.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        // SQLite follows symbolic links, and keeps the other two files beside what they lead to.
        let real = database.canonicalize()?;
        let beside = |suffix: &str| {
            let mut name = real.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (log, index) = (beside("-wal"), beside("-shm"));
        // No lock of SQLite is on this one, so that it may be closed.
        let opened_log = File::open(&log)?;
        let opened_index = FileState::of(&fs::metadata(&index)?);
        Ok(Self { database: database.to_owned(), log, opened_log, index, opened_index })
    }

    /// Returns the first change there is. What cannot be seen counts as unchanged.
    pub(super) fn change(&self, lock: &FileLock) -> Option<FileChange> {
        let log = self.opened_log.metadata().map(|metadata| FileState::of(&metadata));
        let parts = [
            (FilePart::Database, &self.database, lock.file()),
            (FilePart::Log, &self.log, log),
            (FilePart::Index, &self.index, Ok(self.opened_index)),
        ];
        parts.into_iter().find_map(|(part, file, opened)| {
            let is_replaced = is_replaced(file, &opened.ok()?)?;
            Some(FileChange { file: file.clone(), part, is_replaced })
        })
    }
}

/// Whether a name leads to another file than the one that was opened, or to none; nothing if it leads to that one.
fn is_replaced(name: &Path, opened: &FileState) -> Option<bool> {
    match fs::metadata(name) {
        Ok(metadata) if FileState::of(&metadata).is_same_file(opened) => None,
        Ok(_) => Some(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Some(false),
        Err(_) => None,
    }
}
