//! Finds out why a store's file cannot be opened, as SQLite says only that it cannot.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use sqlx::Error;

use super::super::StoreError;

/// What SQLite needs at once beside a store: the index of its log, and a little of the log.
const NEEDED: usize = 64 * 1024;

/// Returns the error with its cause and remedy, if the operating system is the cause.
pub(in crate::store) fn explained(error: StoreError, file: &Path) -> StoreError {
    let StoreError::Database(cause) = &error else { return error };
    let is_of_file = match (&**cause, code(cause)) {
        (Error::Io(error), _) if error.kind() == ErrorKind::PermissionDenied => true,
        (Error::Io(_), _) | (_, Some(10)) => false,
        // SQLite's codes for "read-only" and "cannot be opened".
        (_, Some(8 | 14)) => true,
        (_, Some(_) | None) => return error,
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The store itself is only looked at: to open and close it would end SQLite's locks.
    let explanation = match try_folder(folder) {
        Err(error) => of_folder(error.kind(), folder, file),
        Ok(()) if is_of_file && file.is_file() => Some(of_file(file)),
        Ok(()) => None,
    };
    explanation.unwrap_or(error)
}

/// Returns the kind of an error of SQLite: the lowest byte of its code.
fn code(error: &Error) -> Option<i64> {
    error.as_database_error()?.code()?.parse::<i64>().ok().map(|code| code & 0xff)
}

/// Writes a file into a folder and removes it.
fn try_folder(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".testmo-courier-{}", uuid::Uuid::now_v7().simple()));
    let mut file = File::create_new(&path)?;
    let written = file.write_all(&[0; NEEDED]).and_then(|()| file.sync_all());
    let removed = fs::remove_file(&path);
    written.and(removed)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is not exhaustive; other kinds have no remedy of their own"
)]
fn of_folder(kind: ErrorKind, folder: &Path, file: &Path) -> Option<StoreError> {
    let (folder, file) = (folder.display(), file.display());
    match kind {
        ErrorKind::ReadOnlyFilesystem => Some(StoreError::NotWritable(format!(
            "{file} is on a read-only file system, and SQLite has to write even to read a store: mount it writable, or \
             let store.url name a file on another disk"
        ))),
        ErrorKind::PermissionDenied => Some(StoreError::NotWritable(format!(
            "this user may not write in the folder {folder}, where SQLite keeps files beside the store: make the user \
             the owner of the folder, or run as its owner"
        ))),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Some(StoreError::NoRoom(format!("no file of {NEEDED} bytes fits into the folder {folder}")))
        }
        _ => None,
    }
}

fn of_file(file: &Path) -> StoreError {
    let file = file.display();
    StoreError::NotWritable(format!(
        "this user may not read and write {file}, {file}-wal or {file}-shm: make the user the owner of these files, or \
         run as their owner"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_own_remedy() {
        let (folder, file) = (Path::new("/d"), Path::new("/d/x.db"));
        let table = [
            (ErrorKind::ReadOnlyFilesystem, "mount it writable"),
            (ErrorKind::PermissionDenied, "make the user the owner of the folder"),
            (ErrorKind::StorageFull, "free space on its disk"),
        ];
        for (kind, remedy) in table {
            let message = of_folder(kind, folder, file).unwrap().to_string();
            assert!(message.contains(remedy) && message.contains("/d"), "{message}");
        }
        assert!(of_folder(ErrorKind::NotFound, folder, file).is_none());
    }
}
