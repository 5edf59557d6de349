//! Decides whether people have paused what a batch belongs to.

use crate::store::accounts::{LaneOverride, LaneSelector};
use crate::worker::model::ActiveBatch;

/// Returns whether the lane of a batch, of its tenant or of its account, is paused.
pub(super) fn is_paused(overrides: &[LaneOverride], batch: &ActiveBatch) -> bool {
    overrides.iter().filter(|of| of.paused).any(|of| match &of.lane {
        LaneSelector::Tenant(tenant) => *tenant == batch.key.batch.tenant,
        LaneSelector::Account(account) => account == batch.account(),
    })
}
