//! Reads the tenants' connections.

use crate::batch::TenantId;
use crate::store::connections::{ConnectionRow, Verification};
use crate::store::{ConnectionStore, Store, StoreError};

/// Why a connection cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The tenant has none.
    #[error("there is no connection of tenant {0}")]
    NoConnection(TenantId),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a tenant's connection.
///
/// # Errors
/// When there is none, or the store does not answer.
pub async fn connection(store: &Store, tenant: &TenantId) -> Result<ConnectionRow, ConnectionError> {
    store.connection(tenant).await?.ok_or_else(|| ConnectionError::NoConnection(tenant.clone()))
}

/// Reads the connections of all tenants.
///
/// # Errors
/// When the store does not answer.
pub async fn list(store: &Store) -> Result<Vec<ConnectionRow>, StoreError> {
    store.connections().await
}

/// Writes a connection's project and folder by their ids, with their names where these are known.
pub fn names(row: &ConnectionRow) -> (String, String) {
    match &row.finding {
        Some(Verification::Works { project, folder, .. }) => {
            (format!("{} {project}", row.project), format!("{} {folder}", row.folder))
        }
        Some(Verification::Fails { .. }) | None => (row.project.to_string(), row.folder.to_string()),
    }
}
