//! Lets only one worker use a store file, by an operating-system lock that a crash releases.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Arc;

use super::StoreError;

/// The lock of a worker on its SQLite file, released when dropped. A database on a server needs none.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock of the store in `file`.
    ///
    /// # Errors
    /// When another worker holds it, or the lock file cannot be made.
    pub fn take(file: &Path) -> Result<Self, StoreError> {
        let path = file.with_extension("lock");
        let failed = |error: std::io::Error| StoreError::Database(Arc::new(sqlx::Error::Io(error)));
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _file: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(file.display().to_string())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
