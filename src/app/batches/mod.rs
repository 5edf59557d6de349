//! Reads what became of the batches that were received.

mod details;
mod settlement;
mod tally;

pub use self::details::{BatchDetails, BatchError, show};
pub use self::settlement::{Settlement, settlements};
pub use self::tally::{Tally, links, testmo_id};
use crate::batch::TenantId;
pub use crate::batch::event::link;
pub use crate::batch::ledger::{BatchRecord, CaseRecord, CaseState};
use crate::store::{Store, StoreError};

/// Reads at most `most` of the latest batches, newest first; only those of a tenant, if one is given.
///
/// # Errors
/// When the store does not answer.
pub async fn list(store: &Store, tenant: Option<&TenantId>, most: u32) -> Result<Vec<BatchRecord>, StoreError> {
    let latest = store.latest_batches(tenant, most).await?;
    Ok(latest.into_iter().map(|stored| stored.record).collect())
}
