//! States why a batch cannot be previewed.

use crate::batch::TenantId;
use crate::store::StoreError;
use crate::testmo::NoClient;

/// Why a preview cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The connection was never verified with this mapping.
    #[error("the names in the mapping are not resolved yet")]
    NamesUnknown(TenantId),
    /// The API key cannot be used.
    #[error("{why}")]
    NoAccess {
        /// The tenant.
        tenant: TenantId,
        /// Why.
        why: String,
    },
    /// The account is paused.
    #[error("requests to this Testmo account are paused")]
    Paused {
        /// The seconds that are left of the pause.
        seconds: u64,
    },
    /// Testmo does not list the folders.
    #[error("the folders cannot be read: {error}")]
    Folders {
        /// The tenant.
        tenant: TenantId,
        /// Why.
        error: String,
    },
    /// Testmo does not list the cases.
    #[error("the cases cannot be read: {error}")]
    Cases {
        /// The tenant.
        tenant: TenantId,
        /// Why.
        error: String,
    },
    /// The batch has no case at the position that was asked for.
    #[error("the batch has no case at this position")]
    NoSuchCase {
        /// How many cases it has.
        cases: usize,
    },
    /// Testmo cannot be asked.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
