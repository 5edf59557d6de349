//! Reads the tenants' connections.

use crate::batch::TenantId;
use crate::batch::message::similar::similar;
use crate::store::connections::{ConnectionRow, Verification};
use crate::store::{ConnectionStore, Store, StoreError};

/// Among so many tenants one that a person means is searched for.
const MOST_COMPARED: u32 = 10_000;

/// Why a connection cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The tenant has none.
    #[error("there is no connection of tenant {tenant}")]
    NoConnection {
        /// The tenant.
        tenant: TenantId,
        /// A tenant of a similar name that has one.
        meant: Option<TenantId>,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a tenant's connection.
///
/// # Errors
/// When there is none, or the store does not answer.
pub async fn connection(store: &Store, tenant: &TenantId) -> Result<ConnectionRow, ConnectionError> {
    match store.connection(tenant).await? {
        Some(row) => Ok(row),
        None => Err(missing(store, tenant).await),
    }
}

/// Says that a tenant has no connection, and which tenant was probably meant.
pub(super) async fn missing(store: &Store, tenant: &TenantId) -> ConnectionError {
    match similar_to(store, tenant).await {
        Ok(meant) => ConnectionError::NoConnection { tenant: tenant.clone(), meant },
        Err(error) => error.into(),
    }
}

/// Returns the tenant with a connection whose name is most like this one.
///
/// # Errors
/// When the store does not answer.
pub async fn similar_to(store: &Store, tenant: &TenantId) -> Result<Option<TenantId>, StoreError> {
    let known = store.connected_tenants(MOST_COMPARED).await?;
    Ok(similar(tenant, &known).cloned())
}

/// Returns the tenant that a person probably means who names one without a connection; nothing if it has one.
///
/// # Errors
/// When the store does not answer.
pub async fn meant_by(store: &Store, tenant: &TenantId) -> Result<Option<TenantId>, StoreError> {
    if store.connection(tenant).await?.is_some() { Ok(None) } else { similar_to(store, tenant).await }
}

/// Reads the connections of all tenants.
///
/// # Errors
/// When the store does not answer.
pub async fn list(store: &Store) -> Result<Vec<ConnectionRow>, StoreError> {
    store.connections().await
}

/// Reads up to `most` connections by tenant, after the tenant of this name, and the name after which further ones may follow.
///
/// # Errors
/// When the store does not answer.
pub async fn page(store: &Store, after: &str, most: u32) -> Result<(Vec<ConnectionRow>, Option<String>), StoreError> {
    store.connections_page(after, most).await
}

/// The names of a connection's project and folder, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownNames<'a> {
    /// The name of the project.
    pub project: Option<&'a str>,
    /// The path of the folder.
    pub folder: Option<&'a str>,
    /// When they were seen, in milliseconds on the store's clock, if the last verification did not show them.
    pub as_of: Option<i64>,
}

/// Returns the names of a connection's project and folder, which stay known while the connection fails.
pub fn known_names(row: &ConnectionRow) -> KnownNames<'_> {
    if let Some(Verification::Works { project, folder, .. }) = &row.finding {
        return KnownNames { project: Some(project), folder: Some(folder), as_of: None };
    }
    let Some(seen) = row.seen.names.as_ref().filter(|seen| seen.project_id == row.project) else {
        return KnownNames::default();
    };
    let folder = Some(seen.folder.as_str()).filter(|_| seen.folder_id == row.folder);
    KnownNames { project: Some(&seen.project), folder, as_of: Some(seen.at) }
}

/// Writes a connection's project and folder by their ids, with their names where these are known.
pub fn names(row: &ConnectionRow) -> (String, String) {
    let KnownNames { project, folder, .. } = known_names(row);
    let named = |id: u64, name: Option<&str>| name.map_or_else(|| id.to_string(), |name| format!("{id} {name}"));
    (named(row.project, project), named(row.folder, folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fixture;
    use crate::batch::Reason;
    use crate::store::connections::{Seen, SeenNames};

    #[test]
    fn names_stay_known_while_a_connection_fails_and_belong_to_their_ids() {
        let finding = Some(Verification::Fails { reason: Reason::KeyRefused, detail: "401".into() });
        let names_of = |project_id, folder_id| {
            let seen = SeenNames { project_id, folder_id, project: "Shop".into(), folder: "Root".into(), at: 7 };
            let seen = Seen { names: Some(seen), ..Seen::default() };
            let row =
                ConnectionRow { project: 3, folder: 428, finding: finding.clone(), seen, ..fixture::connection() };
            (names(&row), known_names(&row).as_of)
        };
        assert_eq!(names_of(3, 428), (("3 Shop".into(), "428 Root".into()), Some(7)));
        assert_eq!(names_of(3, 9), (("3 Shop".into(), "428".into()), Some(7)));
        assert_eq!(names_of(4, 428), (("3".into(), "428".into()), None));
    }
}
