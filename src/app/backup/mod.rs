//! Makes a backup of the store, restores it, and moves the store to another place.

pub mod moving;
pub mod restoring;

use std::path::Path;

use super::actor::{Actor, NotAllowed, Role, require};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::StoreError;
use crate::store::portable::{self, BackupError};

pub use crate::store::portable::{Backup, BackupFault, TableSum};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum NoBackup {
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The file would take the place of the store.
    #[error("{0} is the store itself")]
    IsTheStore(String),
    /// What has to be the same in the whole backup was changed meanwhile.
    #[error("the master key was replaced, or a restore was noted, while the backup was made")]
    Changed,
    /// The file cannot be written.
    #[error(transparent)]
    File(BackupFault),
    /// The store cannot be read.
    #[error(transparent)]
    Store(StoreError),
}

impl From<BackupError> for NoBackup {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::IsTheStore(file) => Self::IsTheStore(file),
            BackupError::Changed => Self::Changed,
            BackupError::File(error) => Self::File(error),
            BackupError::Store(error) => Self::Store(error),
        }
    }
}

/// Writes everything that the store holds into a new file, also while workers use it. The store is not changed; not even its
/// tables are brought to this version.
///
/// # Errors
/// When the person lacks the role of an admin, the store cannot be read, or the file cannot be written. A file that is there
/// already is replaced only if that is asked for.
pub async fn back_up(config: &Config, file: &Path, may_replace: bool, actor: &Actor) -> Result<Backup, NoBackup> {
    require(actor, Role::Admin)?;
    Ok(portable::back_up(&config.store, &Clock::system(), file, may_replace).await?)
}

/// Returns where a store is, as a person would write it, without a password.
pub fn place(config: &Config) -> String {
    portable::place_name(&config.store)
}
