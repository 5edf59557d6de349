//! Says why a connection is not stored.

use super::super::super::actor::{ActionError, NotAllowed};
use super::super::source::KeptInFile;
use crate::batch::TenantId;
use crate::store::StoreError;
pub use crate::store::connections::Part;
use crate::tenants::KeyError;
use crate::testmo::{AddressRefused, NoClient};

/// Why an API key has to be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyNeeded {
    /// A kept key is only ever used for the address that it was entered for.
    #[error("a new base URL requires the API key to be entered again")]
    AddressChanged,
    /// No key is kept, or a new one is to be entered.
    #[error("the API key is missing")]
    NotKept,
}

/// Why a connection is not stored.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The tenant is new and its connection is not complete.
    #[error("{tenant} is new and lacks {parts:?}")]
    Incomplete {
        /// The tenant.
        tenant: TenantId,
        /// What is missing.
        parts: Vec<Part>,
        /// The project and the folder that the entered address names.
        named: (Option<u64>, Option<u64>),
        /// A tenant of a similar name that has a connection.
        meant: Option<TenantId>,
    },
    /// API keys are not sent to this address.
    #[error("{base_url} is not allowed")]
    Address {
        /// The address.
        base_url: String,
        /// Why, and what to do.
        refused: AddressRefused,
    },
    /// The API key expires on a day that is past.
    #[error("the expiration day of the API key, {0}, is in the past")]
    Expired(String),
    /// The kept API key cannot be used.
    #[error("{0}")]
    KeptKey(String),
    /// An API key has to be entered.
    #[error(transparent)]
    KeyNeeded(#[from] KeyNeeded),
    /// Somebody else has entered another connection in between.
    #[error("the connection of {0} was changed meanwhile; nothing was saved")]
    Changed(TenantId),
    /// The connection is kept in a file.
    #[error(transparent)]
    KeptInFile(#[from] KeptInFile),
    /// The person lacks the role.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The API key cannot be encrypted.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Testmo cannot be asked.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<ActionError> for SetError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::NotAllowed(error) => error.into(),
            ActionError::Store(error) => error.into(),
        }
    }
}

impl SetError {
    /// Names the tenant that was probably meant, where one that is new is not complete.
    pub(super) fn with_meant(mut self, similar: Option<&TenantId>) -> Self {
        if let Self::Incomplete { meant, .. } = &mut self {
            *meant = similar.cloned();
        }
        self
    }
}
