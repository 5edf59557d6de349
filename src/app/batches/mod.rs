//! Reads what became of the batches that were received.

pub mod compare;
mod details;
mod settlement;
mod tally;
mod timeline;

pub use self::details::{BatchDetails, BatchError, show};
pub use self::settlement::{Settlement, settlements};
pub use self::tally::{Tally, links, testmo_id};
pub use self::timeline::{AuditRow, Happening, Moment, Reconciliation, Request, Timeline, UnderWay, WaitsFor, What};
use crate::app::extent::{COUNTED, Extent};
use crate::batch::TenantId;
pub use crate::batch::event::link;
pub use crate::batch::ledger::{BatchRecord, CaseRecord, CaseState};
pub use crate::store::history::{EventRow, PushRow};
pub use crate::store::ledger::BatchPlace;
use crate::store::{Store, StoreError};

/// Reads at most `most` of the latest batches, newest first, where 0 means all; only those of a tenant, if one is given.
///
/// # Errors
/// When the store does not answer.
pub async fn list(store: &Store, tenant: Option<&TenantId>, most: u32) -> Result<Vec<BatchRecord>, StoreError> {
    let latest = store.latest_batches(tenant, if most == 0 { u32::MAX } else { most }).await?;
    Ok(latest.into_iter().map(|stored| stored.record).collect())
}

/// Reads up to `most` batches behind a place, newest first, and the place behind which further ones may follow; only those of
/// a tenant, if one is given.
///
/// # Errors
/// When the store does not answer.
pub async fn page(
    store: &Store,
    tenant: Option<&TenantId>,
    behind: Option<&BatchPlace>,
    most: u32,
) -> Result<(Vec<BatchRecord>, Option<BatchPlace>), StoreError> {
    let (page, next) = store.batches_page(tenant, behind, most).await?;
    Ok((page.into_iter().map(|stored| stored.record).collect(), next))
}

/// Counts the batches, or those of a tenant, of which `shown` are listed.
///
/// # Errors
/// When the store does not answer.
pub async fn extent(store: &Store, tenant: Option<&TenantId>, shown: usize) -> Result<Extent, StoreError> {
    let totals = store.batch_totals(tenant, COUNTED).await?;
    let counted: u64 = totals.iter().map(|(_, _, count)| count).sum();
    let mut extent = Extent::new(shown, counted < u64::from(COUNTED), &["state", "tenant"]);
    totals.iter().for_each(|(state, tenant, count)| extent.add(&[state, tenant], *count));
    Ok(extent)
}
