//! Lists batches, newest first, and counts them.

use super::BatchError;
use crate::app::extent::{COUNTED, Extent};
use crate::batch::BatchKey;
use crate::batch::ledger::BatchRecord;
use crate::store::ledger::{BatchFilter, BatchPlace};
use crate::store::{Store, StoreError};

/// Reads at most `most` of the batches that match a filter, newest first, where 0 means all; those that follow `after`, if it
/// is given.
///
/// # Errors
/// When `after` is not known, or the store does not answer.
pub async fn list(
    store: &Store,
    filter: &BatchFilter,
    after: Option<&BatchKey>,
    most: u32,
) -> Result<Vec<BatchRecord>, BatchError> {
    let place = match after {
        None => None,
        Some(key) => {
            let stored = store.batch(key).await?.ok_or_else(|| BatchError::Unknown(key.clone()))?;
            Some(BatchPlace { first_seen_at: stored.record.first_seen_at, key: key.clone() })
        }
    };
    let batches = store.batches(filter, place.as_ref(), if most == 0 { u32::MAX } else { most }).await?;
    Ok(batches.into_iter().map(|stored| stored.record).collect())
}

/// Reads up to `most` batches behind a place that match a filter, newest first, and the place behind which further ones may
/// follow.
///
/// # Errors
/// When the store does not answer.
pub async fn page(
    store: &Store,
    filter: &BatchFilter,
    behind: Option<&BatchPlace>,
    most: u32,
) -> Result<(Vec<BatchRecord>, Option<BatchPlace>), StoreError> {
    let (batches, next) = store.batches_page(filter, behind, most).await?;
    Ok((batches.into_iter().map(|stored| stored.record).collect(), next))
}

/// Counts the batches that match a filter, of which `shown` are listed.
///
/// # Errors
/// When the store does not answer.
pub async fn extent(store: &Store, filter: &BatchFilter, shown: usize) -> Result<Extent, StoreError> {
    let totals = store.batch_totals(filter, COUNTED).await?;
    let counted: u64 = totals.iter().map(|(_, _, count)| count).sum();
    let mut extent = Extent::new(shown, counted < u64::from(COUNTED), &["state", "tenant"]);
    totals.iter().for_each(|(state, tenant, count)| extent.add(&[state, tenant], *count));
    Ok(extent)
}
