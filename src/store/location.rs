//! Names the file or database that holds the store.

use std::path::{Path, PathBuf};

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
        if config.is_shared() {
            return Self::Server(config::redacted(&config.url));
        }
        let path = config.url.strip_prefix("sqlite:").unwrap_or(&config.url);
        let path = path.strip_prefix("//").unwrap_or(path);
        Self::File(Path::new(path.split('?').next().unwrap_or(path)).to_path_buf())
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
