//! Says which tenant was probably meant where a list of a tenant is empty.

use testmo_courier::app::connections::meant_by;
use testmo_courier::app::{Store, TenantId};

use super::failure::Failure;
use super::table::note;

/// Notes on standard error that a tenant has no connection, if one of a similar name has one.
pub(crate) async fn note_if_unknown(store: &Store, tenant: Option<&TenantId>) -> Result<(), Failure> {
    let Some(tenant) = tenant else { return Ok(()) };
    match meant_by(store, tenant).await? {
        Some(meant) => note(&format!("There is no connection of tenant {tenant}. Did you mean `{meant}`?")),
        None => Ok(()),
    }
}
