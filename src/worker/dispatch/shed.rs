//! Remembers which tenants have batches on the shelf that only wait for room, since newer batches queue behind these,
//! and which have batches that are due.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::batch::TenantId;
use crate::store::shelf::DueTenant;

/// The shelf is searched every second for batches that are retried within this time.
const LONGEST_SOON: Duration = Duration::from_secs(10);

/// Tenants with shed batches.
#[derive(Debug, Default)]
pub(super) struct Shed {
    tenants: BTreeSet<TenantId>,
    /// Those of them that the store may not have reported yet.
    recent: BTreeSet<TenantId>,
    /// Tenants of whom something was due when the store reported last.
    due: BTreeSet<TenantId>,
    /// Until when something is due on the shelf that is soon retried.
    back_soon: Option<Instant>,
}

impl Shed {
    /// Returns whether older batches of a tenant wait on the shelf for room.
    pub(super) fn holds(&self, tenant: &TenantId) -> bool {
        self.tenants.contains(tenant)
    }

    /// Returns whether the shelf may hold a batch of a tenant that could be taken now.
    pub(super) fn may_be_due(&self, tenant: &TenantId) -> bool {
        self.tenants.contains(tenant) || self.due.contains(tenant)
    }

    /// Notes that a new batch queues behind those on the shelf.
    pub(super) fn joined(&mut self, tenant: &TenantId) {
        self.recent.insert(tenant.clone());
    }

    /// Notes that a batch was shed which was tried for the first time.
    pub(super) fn add(&mut self, tenant: &TenantId) {
        self.tenants.insert(tenant.clone());
        self.recent.insert(tenant.clone());
    }

    /// Notes that a batch was shed which is retried after `wait`: no newer batch has to queue behind it.
    pub(super) fn add_retry(&mut self, wait: Duration) {
        self.back_soon = self.back_soon.max(Some(Instant::now() + wait.min(LONGEST_SOON)));
    }

    /// Takes over what the store reports, and what was noted since.
    pub(super) fn refresh(&mut self, due: &[DueTenant]) {
        let shed = due.iter().filter(|due| due.is_shed).map(|due| due.tenant.clone());
        self.tenants = shed.chain(std::mem::take(&mut self.recent)).collect();
        self.due = due.iter().filter(|due| due.is_due).map(|due| due.tenant.clone()).collect();
    }

    /// Returns whether the shelf is to be read at `now`, because something on it is soon retried.
    pub(super) fn is_retry_soon(&mut self, now: Instant, sweep: Duration) -> bool {
        let Some(until) = self.back_soon else { return false };
        // A row that was shelved a moment ago is due a moment later.
        self.back_soon = self.back_soon.filter(|_| now < until + sweep);
        true
    }
}
