//! States why nothing can be compared.

use crate::app::case_pages::PageError;
use crate::app::connections::ConnectionError;
use crate::batch::TenantId;
use crate::store::StoreError;
use crate::testmo::NoClient;

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// There is no connection to read with.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The connection cannot be used.
    #[error("the connection of tenant {tenant} cannot be used ({why})")]
    NoAccess {
        /// The tenant.
        tenant: TenantId,
        /// The cause.
        why: String,
    },
    /// The ledger has no cases to compare.
    #[error("the ledger has no cases of {0} to compare")]
    Nothing(String),
    /// Requests to the account are paused.
    #[error("Testmo was not read to the end: {0}")]
    Paused(String),
    /// A list could not be read.
    #[error("Testmo could not be read ({0})")]
    Failed(String),
    /// Testmo refuses the list as it is requested.
    #[error("Testmo refuses to list the cases of the project")]
    Refused,
    /// A list has no end.
    #[error("Testmo's list of cases does not end")]
    Endless,
    /// Testmo cannot be asked.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PageError> for CompareError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Paused(why) => Self::Paused(why),
            PageError::NoAccess { tenant, why } => Self::NoAccess { tenant, why },
            PageError::Failed(why) => Self::Failed(why),
            PageError::Refused => Self::Refused,
            PageError::Store(error) => Self::Store(error),
        }
    }
}
