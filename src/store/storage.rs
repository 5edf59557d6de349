//! What does a worker ask of its store? The seam at which simulations and benchmarks put another one.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::accounts::{LaneOverride, Permit};
use super::connections::{ConnectionCount, ConnectionRow, Verification, Written};
use super::folders::{FolderClaim, FolderEnd, FolderLeave, FolderLimits, KnownFolder, NewFolder};
use super::ledger::{Change, Claim, ClaimOutcome, CommitOutcome, PushMembers, Stored};
use super::outbox::OutboxEvent;
use super::prune::Pruned;
use super::shelf::{Due, ShelfCount, ShelfId, Shelved};
use super::unbound::{Probe, Released, UnboundCounts};
use super::{Store, StoreError};
use crate::account::Throttle;
use crate::batch::{BatchKey, TenantId};
use crate::clock::Clock;

/// A store as a worker sees it. Each call is atomic; what each means, and when it fails, stands at the method of
/// [`Store`] that has its name.
#[async_trait]
#[expect(missing_docs, reason = "each method is told of where the store has it")]
pub trait Storage: Debug + Send + Sync {
    fn clock(&self) -> Clock;
    fn now(&self) -> i64 {
        self.clock().now()
    }
    async fn ping(&self) -> Result<(), StoreError>;
    /// Only what is kept outside of memory can be unreadable.
    fn unreadable_rows(&self) -> Vec<(&'static str, usize)> {
        Vec::new()
    }
    async fn close(&self);
    /// How many panics the store's own tasks have caught.
    fn panics(&self) -> u64 {
        0
    }
    /// Waits until one of the store's own tasks has ended although the store was not closed.
    async fn broken(&self) {
        std::future::pending().await
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError>;
    async fn change(&self, change: Arc<Change>) -> Result<CommitOutcome, StoreError>;
    async fn batch_at(&self, key: &BatchKey) -> Result<(Option<Stored>, i64), StoreError>;
    async fn held_ids(&self, account: &str, ids: &[u64]) -> Result<HashSet<u64>, StoreError>;
    async fn take_late_checks(&self, after: Duration, lease: Duration, most: u32) -> Result<Vec<Stored>, StoreError>;
    async fn prune(&self, retention: Duration, most: u32) -> Result<Pruned, StoreError>;

    async fn push_members(&self, push: &str) -> Result<PushMembers, StoreError>;
    async fn last_push(&self, batch: &BatchKey, account: &str, but: Option<&str>)
    -> Result<Option<String>, StoreError>;
    async fn permit(&self, account: &str, tenant: Option<&TenantId>, lease: Duration) -> Result<Permit, StoreError>;
    async fn throttle(&self, account: &str) -> Result<Throttle, StoreError>;
    async fn lane_overrides(&self) -> Result<Vec<LaneOverride>, StoreError>;

    async fn claim_folder(&self, new: &NewFolder, holder: &str, lease: Duration) -> Result<FolderClaim, StoreError>;
    async fn begin_folder(
        &self,
        folder: &NewFolder,
        holder: &str,
        limits: &FolderLimits,
    ) -> Result<FolderLeave, StoreError>;
    async fn free_folder(&self, folder: &NewFolder, holder: &str, end: &FolderEnd) -> Result<(), StoreError>;
    async fn known_folder(&self, folder: &NewFolder) -> Result<Option<KnownFolder>, StoreError>;
    async fn forget_folder(&self, folder: &NewFolder, id: u64) -> Result<(), StoreError>;

    async fn due(&self, most: u32) -> Result<Vec<Due>, StoreError>;
    async fn lease_due(
        &self,
        holder: &str,
        lease: Duration,
        asks: &[(TenantId, u32)],
    ) -> Result<Vec<Shelved>, StoreError>;
    async fn lease_suspect(&self, holder: &str, lease: Duration) -> Result<Option<Shelved>, StoreError>;
    async fn release(&self, leases: &[(ShelfId, i64)]) -> Result<(), StoreError>;
    async fn skimmed(&self, most: u32) -> Result<Vec<(TenantId, u64)>, StoreError>;
    async fn shelf_counts(&self) -> Result<Vec<ShelfCount>, StoreError>;

    async fn unsent(&self, most: u32, taken_for: Duration) -> Result<Vec<OutboxEvent>, StoreError>;
    async fn mark_sent(&self, sent: &[OutboxEvent]) -> Result<(), StoreError>;
    async fn postpone(&self, events: &[OutboxEvent], pause: Duration) -> Result<(), StoreError>;
    async fn due_count(&self) -> Result<i64, StoreError>;
    async fn set_aside(&self, returned: &[OutboxEvent], behind: &[OutboxEvent]) -> Result<(), StoreError>;
    async fn take_probes(&self, most: u32, lease: Duration) -> Result<Vec<Probe>, StoreError>;
    async fn release_waiting(&self, key: &str, most: u32, taken_for: Duration) -> Result<Released, StoreError>;
    async fn unbound_counts(&self, old_events: Duration, old_keys: Duration) -> Result<UnboundCounts, StoreError>;
    async fn announce_event_again(&self, subject: &str, id: &str) -> Result<(), StoreError>;

    async fn connection(&self, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError>;
    async fn keys_expiring_by(&self, day: &str) -> Result<Vec<(TenantId, String)>, StoreError>;
    async fn connection_counts(&self) -> Result<Vec<ConnectionCount>, StoreError>;
    async fn set_connection(&self, row: &ConnectionRow) -> Result<Written, StoreError>;
    async fn record_verification(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        finding: &Verification,
    ) -> Result<Written, StoreError>;
    async fn take_reverifications(&self, lease: Duration, most: u32) -> Result<Vec<ConnectionRow>, StoreError>;
}

#[async_trait]
impl Storage for Store {
    fn clock(&self) -> Clock {
        Self::clock(self)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Self::ping(self).await
    }

    fn unreadable_rows(&self) -> Vec<(&'static str, usize)> {
        Self::unreadable_rows(self)
    }

    async fn close(&self) {
        Self::close(self).await;
    }

    fn panics(&self) -> u64 {
        Self::panics(self)
    }

    async fn broken(&self) {
        Self::broken(self).await;
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        Self::claim(self, claim).await
    }

    async fn change(&self, change: Arc<Change>) -> Result<CommitOutcome, StoreError> {
        Self::change(self, change).await
    }

    async fn batch_at(&self, key: &BatchKey) -> Result<(Option<Stored>, i64), StoreError> {
        Self::batch_at(self, key).await
    }

    async fn held_ids(&self, account: &str, ids: &[u64]) -> Result<HashSet<u64>, StoreError> {
        Self::held_ids(self, account, ids).await
    }

    async fn take_late_checks(&self, after: Duration, lease: Duration, most: u32) -> Result<Vec<Stored>, StoreError> {
        Self::take_late_checks(self, after, lease, most).await
    }

    async fn prune(&self, retention: Duration, most: u32) -> Result<Pruned, StoreError> {
        Self::prune(self, retention, most).await
    }

    async fn push_members(&self, push: &str) -> Result<PushMembers, StoreError> {
        Self::push_members(self, push).await
    }

    async fn last_push(
        &self,
        batch: &BatchKey,
        account: &str,
        but: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        Self::last_push(self, batch, account, but).await
    }

    async fn permit(&self, account: &str, tenant: Option<&TenantId>, lease: Duration) -> Result<Permit, StoreError> {
        Self::permit(self, account, tenant, lease).await
    }

    async fn throttle(&self, account: &str) -> Result<Throttle, StoreError> {
        Self::throttle(self, account).await
    }

    async fn lane_overrides(&self) -> Result<Vec<LaneOverride>, StoreError> {
        Self::lane_overrides(self).await
    }

    async fn claim_folder(&self, new: &NewFolder, holder: &str, lease: Duration) -> Result<FolderClaim, StoreError> {
        Self::claim_folder(self, new, holder, lease).await
    }

    async fn begin_folder(
        &self,
        folder: &NewFolder,
        holder: &str,
        limits: &FolderLimits,
    ) -> Result<FolderLeave, StoreError> {
        Self::begin_folder(self, folder, holder, limits).await
    }

    async fn free_folder(&self, folder: &NewFolder, holder: &str, end: &FolderEnd) -> Result<(), StoreError> {
        Self::free_folder(self, folder, holder, end).await
    }

    async fn known_folder(&self, folder: &NewFolder) -> Result<Option<KnownFolder>, StoreError> {
        Self::known_folder(self, folder).await
    }

    async fn forget_folder(&self, folder: &NewFolder, id: u64) -> Result<(), StoreError> {
        Self::forget_folder(self, folder, id).await
    }

    async fn due(&self, most: u32) -> Result<Vec<Due>, StoreError> {
        Self::due(self, most).await
    }

    async fn lease_due(
        &self,
        holder: &str,
        lease: Duration,
        asks: &[(TenantId, u32)],
    ) -> Result<Vec<Shelved>, StoreError> {
        Self::lease_due(self, holder, lease, asks).await
    }

    async fn lease_suspect(&self, holder: &str, lease: Duration) -> Result<Option<Shelved>, StoreError> {
        Self::lease_suspect(self, holder, lease).await
    }

    async fn release(&self, leases: &[(ShelfId, i64)]) -> Result<(), StoreError> {
        Self::release(self, leases).await
    }

    async fn skimmed(&self, most: u32) -> Result<Vec<(TenantId, u64)>, StoreError> {
        Self::skimmed(self, most).await
    }

    async fn shelf_counts(&self) -> Result<Vec<ShelfCount>, StoreError> {
        Self::shelf_counts(self).await
    }

    async fn unsent(&self, most: u32, taken_for: Duration) -> Result<Vec<OutboxEvent>, StoreError> {
        Self::unsent(self, most, taken_for).await
    }

    async fn mark_sent(&self, sent: &[OutboxEvent]) -> Result<(), StoreError> {
        Self::mark_sent(self, sent).await
    }

    async fn postpone(&self, events: &[OutboxEvent], pause: Duration) -> Result<(), StoreError> {
        Self::postpone(self, events, pause).await
    }

    async fn due_count(&self) -> Result<i64, StoreError> {
        Self::due_count(self).await
    }

    async fn set_aside(&self, returned: &[OutboxEvent], behind: &[OutboxEvent]) -> Result<(), StoreError> {
        Self::set_aside(self, returned, behind).await
    }

    async fn take_probes(&self, most: u32, lease: Duration) -> Result<Vec<Probe>, StoreError> {
        Self::take_probes(self, most, lease).await
    }

    async fn release_waiting(&self, key: &str, most: u32, taken_for: Duration) -> Result<Released, StoreError> {
        Self::release_waiting(self, key, most, taken_for).await
    }

    async fn unbound_counts(&self, old_events: Duration, old_keys: Duration) -> Result<UnboundCounts, StoreError> {
        Self::unbound_counts(self, old_events, old_keys).await
    }

    async fn announce_event_again(&self, subject: &str, id: &str) -> Result<(), StoreError> {
        Self::announce_event_again(self, subject, id).await
    }

    async fn connection(&self, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError> {
        Self::connection(self, tenant).await
    }

    async fn keys_expiring_by(&self, day: &str) -> Result<Vec<(TenantId, String)>, StoreError> {
        Self::keys_expiring_by(self, day).await
    }

    async fn connection_counts(&self) -> Result<Vec<ConnectionCount>, StoreError> {
        Self::connection_counts(self).await
    }

    async fn set_connection(&self, row: &ConnectionRow) -> Result<Written, StoreError> {
        Self::set_connection(self, row).await
    }

    async fn record_verification(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        finding: &Verification,
    ) -> Result<Written, StoreError> {
        Self::record_verification(self, tenant, version, epoch, finding).await
    }

    async fn take_reverifications(&self, lease: Duration, most: u32) -> Result<Vec<ConnectionRow>, StoreError> {
        Self::take_reverifications(self, lease, most).await
    }
}
