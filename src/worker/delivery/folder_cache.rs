//! Remembers for a minute which folder a path leads to: many batches go to the same one.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::guard::lock;

/// How long a path is believed to lead to a folder. If it no longer does, Testmo refuses the cases, and the folder is
/// searched for again.
pub(super) const REMEMBERED: Duration = Duration::from_secs(60);

/// Folders that were found by path.
#[derive(Debug, Default)]
pub(super) struct FolderCache(Mutex<HashMap<CachedPath, (Instant, u64)>>);

/// A path in the project of one version of a connection.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CachedPath {
    pub(super) account: String,
    pub(super) connection: String,
    pub(super) names: Vec<String>,
}

impl FolderCache {
    /// Returns the folder of a path, if it was found within the last minute.
    pub(super) fn get(&self, path: &CachedPath) -> Option<u64> {
        let known = lock(&self.0);
        known.get(path).filter(|(at, _)| !path.names.is_empty() && at.elapsed() < REMEMBERED).map(|(_, id)| *id)
    }

    /// Remembers the folder of a path.
    pub(super) fn keep(&self, path: CachedPath, folder: u64) {
        let mut known = lock(&self.0);
        known.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        known.insert(path, (Instant::now(), folder));
    }
}
