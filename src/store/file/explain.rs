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
    let Some(is_of_file) = is_of_file(&error) else { return error };
    // The store itself is only looked at: to open and close it would end SQLite's locks.
    let own = || (is_of_file && file.is_file()).then(|| of_file(file));
    folder_trouble(file).unwrap_or_else(own).unwrap_or(error)
}

/// Returns whether the operating system may have refused the file itself, or only its folder; `None` for other errors.
fn is_of_file(error: &StoreError) -> Option<bool> {
    if let StoreError::Database(cause) = error {
        let Error::Io(cause) = &**cause else { return None };
        return Some(cause.kind() == ErrorKind::PermissionDenied);
    }
    if matches!(error, StoreError::ReadOnly(_) | StoreError::NotOpened(_)) {
        return Some(true);
    }
    matches!(error, StoreError::Disk(_)).then_some(false)
}

/// Returns why no file can be written into the folder of a store: `Some(None)` where the cause has no remedy of its own, and
/// `None` where one can.
fn folder_trouble(file: &Path) -> Option<Option<StoreError>> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    try_folder(folder).err().map(|error| of_folder(error.kind(), folder, file))
}

/// Returns why the operating system does not let this user write beside a store, where that has a remedy of its own.
pub fn unwritable_folder(file: &Path) -> Option<StoreError> {
    folder_trouble(file).flatten()
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
    fn an_error_of_sqlite_that_the_operating_system_causes_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        fs::write(&file, "").unwrap();
        let said = |error| explained(error, &file).to_string();
        for error in [StoreError::NotOpened("14".into()), StoreError::ReadOnly("8".into())] {
            assert!(said(error).contains("make the user the owner of these files"), "the folder can be written");
        }
        assert!(said(StoreError::Disk("10".into())).contains("check the disk"));
        assert!(said(StoreError::Locked("5".into())).contains("fuser"));
        assert!(unwritable_folder(&file).is_none());
    }

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
