//! Lets only one worker use a store file, by operating-system locks that a crash releases.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::super::StoreError;

/// A worker's lock on its SQLite file.
///
/// It is a lock on the file itself (`flock`), so that every name of the file shares it: symbolic links and hard links
/// too. SQLite's own locks are of another kind and do not meet it on a local file system.
///
/// Invariant: the descriptor is never closed. To close any descriptor of the file ends all locks that SQLite has on it in
/// this process, and another process could then write at the same time.
#[derive(Debug)]
pub(super) struct FileLock {
    file: &'static File,
    /// Earlier builds lock a file of this name instead, and alone. Sharing it keeps them away, and nobody else.
    earlier: &'static File,
}

impl FileLock {
    /// Takes the lock of the store in `file`, which has to exist. No connection to the file may be open yet.
    pub(super) fn take(file: &Path) -> Result<Self, StoreError> {
        let failed = |error: io::Error| {
            if error.kind() == io::ErrorKind::NotFound {
                return StoreError::Missing(file.display().to_string());
            }
            StoreError::Database(Arc::new(sqlx::Error::Io(error)))
        };
        let in_use = || StoreError::InUse(file.display().to_string());
        let held = |error| match error {
            TryLockError::WouldBlock => in_use(),
            TryLockError::Error(error) => failed(error),
        };
        // Leaked before anything can fail: even then SQLite may have the file open already, as in tests.
        let database: &'static File =
            Box::leak(Box::new(OpenOptions::new().read(true).write(true).open(file).map_err(failed)?));
        database.try_lock().map_err(held)?;
        let earlier = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(file.with_extension("lock"))
            .map_err(failed)
            .and_then(|earlier| earlier.try_lock_shared().map(|()| earlier).map_err(held));
        match earlier {
            Ok(earlier) => Ok(Self { file: database, earlier: Box::leak(Box::new(earlier)) }),
            Err(error) => {
                drop(database.unlock());
                Err(error)
            }
        }
    }

    /// Returns what the locked file is now.
    pub(super) fn file(&self) -> io::Result<FileState> {
        Ok(FileState::of(&self.file.metadata()?))
    }

    /// Lets another worker have the file. The descriptor stays open.
    pub(super) fn release(&self) {
        // What fails here ends with the process.
        drop(self.file.unlock());
        drop(self.earlier.unlock());
    }
}

/// Which file it is, and how many names it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    device: u64,
    inode: u64,
    names: u64,
}

impl FileState {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), names: metadata.nlink() }
    }

    /// Whether both are the same file.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether the file has no name any more, so that it ends with the last process that has it open.
    pub(super) fn is_deleted(&self) -> bool {
        self.names == 0
    }
}
