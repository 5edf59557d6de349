//! Examines whether a worker could use the file of its store, without opening the store.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::store::{StoreError, StoreLocation, unwritable_folder};

/// The state of the store's file.
#[derive(Debug)]
pub enum StoreFile {
    /// This user can read and write it.
    Usable(PathBuf),
    /// The store is a database on a server.
    Server,
    /// Its folder does not exist.
    NoFolder {
        /// The file.
        file: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// There is no file yet.
    Missing(PathBuf),
    /// This user cannot write beside it.
    FolderUnusable(StoreError),
    /// This user cannot read and write it.
    Unusable(PathBuf, io::Error),
}

/// Examines the file of the store. Whether it is a store is not checked.
pub fn store_file(config: &Config) -> StoreFile {
    match StoreLocation::of(&config.store) {
        StoreLocation::Server(_) => StoreFile::Server,
        StoreLocation::File(file) => examined(file),
    }
}

fn examined(file: PathBuf) -> StoreFile {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return StoreFile::NoFolder { folder: folder.to_owned(), file };
    }
    match OpenOptions::new().read(true).write(true).open(&file) {
        Ok(_) => unwritable_folder(&file).map_or(StoreFile::Usable(file), StoreFile::FolderUnusable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => StoreFile::Missing(file),
        Err(error) => StoreFile::Unusable(file, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_and_a_missing_file_are_distinguished() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("courier.db");
        assert!(matches!(examined(file.clone()), StoreFile::Missing(_)));
        std::fs::write(&file, "").unwrap();
        assert!(matches!(examined(file), StoreFile::Usable(_)));
        assert!(matches!(examined(folder.path().join("none/x.db")), StoreFile::NoFolder { .. }));
        assert!(matches!(examined(folder.path().to_owned()), StoreFile::Unusable(..)), "a folder is no store");
    }
}
