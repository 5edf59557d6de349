//! Counts the batches of each tenant that wait on the shelf for room in a lane.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::batch::TenantId;
use crate::guard::lock;

/// Batches on the shelf that only wait for room, by tenant.
pub(in crate::worker) type Backlog = BTreeMap<TenantId, u64>;

/// The backlog as last counted, and what was added since.
#[derive(Debug, Default)]
pub(in crate::worker) struct Backlogs(Mutex<Backlog>);

impl Backlogs {
    /// Returns the present counts.
    pub(in crate::worker) fn current(&self) -> Backlog {
        lock(&self.0).clone()
    }

    /// Counts one more batch of a tenant, and returns how many there are.
    pub(in crate::worker) fn add(&self, tenant: &TenantId) -> u64 {
        let mut counts = lock(&self.0);
        let count = counts.entry(tenant.clone()).or_default();
        *count += 1;
        *count
    }

    /// Replaces the counts by new ones from the store.
    pub(in crate::worker) fn replace(&self, counted: Backlog) {
        *lock(&self.0) = counted;
    }
}
