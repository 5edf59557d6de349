//! Lists why the master key is not replaced.

use std::path::PathBuf;

use super::super::actor::NotAllowed;
use super::super::context::OpenError;
use crate::store::StoreError;
use crate::tenants::KeyError;

/// Why the master key is not replaced, or the former one not given up.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Another process does it.
    #[error("another rotation of the master key is running, or was interrupted a moment ago")]
    Busy {
        /// After how many seconds it counts as interrupted.
        seconds: u64,
    },
    /// Another process has continued it.
    #[error("another process continues the rotation, because this one made no progress for too long")]
    Lost,
    /// A rotation to another key is not over.
    #[error("a rotation to the master key {to} is not finished, and {file} holds another key")]
    OtherKey {
        /// The file of the new key.
        file: PathBuf,
        /// The word of the key.
        to: String,
    },
    /// The new key is the present one.
    #[error("{0} holds the present master key")]
    NotNew(PathBuf),
    /// The file of the new key cannot be written.
    #[error("the new master key cannot be written to {file} ({source})")]
    NewFile {
        /// The file.
        file: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// There is no former key to be given up.
    #[error("there is no rotation of the master key to finish")]
    NothingBegun,
    /// Some API keys may be encrypted with the former key.
    #[error("the rotation of the master key was interrupted before every API key was encrypted again")]
    NotDone,
    /// The file holds the former key, or another one.
    #[error("{file} does not hold the new master key {to}")]
    FormerFile {
        /// The file.
        file: PathBuf,
        /// The word of the new key.
        to: String,
    },
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The store or the master key cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<StoreError> for RotationError {
    fn from(error: StoreError) -> Self {
        Self::Open(error.into())
    }
}

impl From<KeyError> for RotationError {
    fn from(error: KeyError) -> Self {
        Self::Open(error.into())
    }
}
