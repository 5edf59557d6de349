//! Names the file or database that holds the store.

use std::path::PathBuf;

use crate::config;

/// Where a store is; prints without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// An SQLite file, which one worker uses.
    File(PathBuf),
    /// A PostgreSQL database, which several workers can share; its URL without the password.
    Server(String),
}

impl StoreLocation {
    /// Where the configured store is.
    pub fn of(config: &config::Store) -> Self {
        match config.file() {
            Some(file) => Self::File(file),
            None => Self::Server(config::redacted(&config.url)),
        }
    }
}

impl std::fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Server(url) => f.write_str(url),
        }
    }
}
