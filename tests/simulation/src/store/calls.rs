//! The storage traits: every method is one call on the tables.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use testmo_courier::account::Throttle;
use testmo_courier::batch::render::kinds::FieldKinds;
use testmo_courier::batch::{BatchKey, Reason, TenantId};
use testmo_courier::clock::Clock;
use testmo_courier::store::accounts::{LaneOverride, Permit};
use testmo_courier::store::audit::AuditEntry;
use testmo_courier::store::connections::{ConnectionCount, ConnectionRow, Verification, WriteOutcome};
use testmo_courier::store::folders::{FolderClaim, FolderEnd, FolderLimits, FolderPermit, KnownFolder, NewFolder};
use testmo_courier::store::ledger::{Claim, ClaimOutcome, Commit, CommitOutcome, PushMembers, StoredBatch};
use testmo_courier::store::outbox::OutboxEvent;
use testmo_courier::store::rotation::WrappedKey;
use testmo_courier::store::shelf::{DueTenant, ShelfAges, ShelfCount, ShelfId, Shelved};
use testmo_courier::store::unbound::{Probe, Released, UnboundCounts};
use testmo_courier::store::{
    AccountStore, ConnectionStore, FolderStore, LedgerStore, OutboxStore, PruneCounts, PruneRound, RetentionStore,
    ShelfStore, StoreError, StoreHealth, UnboundStore,
};

use super::tables::Tables;
use super::{POISON, StoreOf, notes};
use crate::diary::clock_of;
use crate::mutation::Mutation;

#[async_trait]
impl StoreHealth for StoreOf {
    fn clock(&self) -> Clock {
        clock_of(&self.store.diary)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask("ping", |_, _| ()).await
    }

    async fn close(&self) {}
}

#[async_trait]
impl LedgerStore for StoreOf {
    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        let (diary, worker) = (self.store.diary.clone(), self.worker);
        self.ask("claim", move |tables, now| {
            let claimed = tables.claim(&claim, now)?;
            diary.note(|| format!("w{worker} claim {}: {}", notes::keys_of(&claim), notes::outcome_of(&claimed)));
            Ok(claimed)
        })
        .await?
    }

    async fn commit(&self, change: Arc<Commit>) -> Result<CommitOutcome, StoreError> {
        let (diary, worker) = (self.store.diary.clone(), self.worker);
        self.ask("commit", move |tables, now| {
            let changed = tables.commit(&change, now);
            let end = if changed.is_done() { "done" } else { "fenced" };
            diary.note(|| format!("w{worker} commit {}: {end}", notes::parts_of(&change)));
            changed
        })
        .await
    }

    async fn batch_at(&self, key: &BatchKey) -> Result<(Option<StoredBatch>, i64), StoreError> {
        let key = key.clone();
        self.ask("batch_at", move |tables, now| (tables.batch(&key), now)).await
    }

    async fn held_ids(&self, account: &str, ids: &[u64]) -> Result<HashSet<u64>, StoreError> {
        let (account, ids) = (account.to_owned(), ids.to_vec());
        self.ask("held_ids", move |tables, _| tables.held_ids(&account, &ids)).await
    }

    async fn ids_given_before(&self, account: &str, ids: &[u64], before: i64) -> Result<HashSet<u64>, StoreError> {
        let (account, ids) = (account.to_owned(), ids.to_vec());
        self.ask("ids_given_before", move |tables, _| tables.ids_given_before(&account, &ids, before)).await
    }

    async fn take_late_checks(
        &self,
        settled_for: Duration,
        lease: Duration,
        most: u32,
    ) -> Result<Vec<StoredBatch>, StoreError> {
        self.ask("take_late_checks", move |tables, now| tables.take_late_checks(settled_for, lease, most, now)).await
    }

    async fn push_members(&self, push: &str) -> Result<PushMembers, StoreError> {
        let push = push.to_owned();
        self.ask("push_members", move |tables, _| tables.push_members(&push)).await
    }

    async fn last_push(
        &self,
        batch: &BatchKey,
        account: &str,
        but: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let (batch, account, but) = (batch.clone(), account.to_owned(), but.map(ToOwned::to_owned));
        self.ask("last_push", move |tables, _| tables.last_push(&batch, &account, but.as_deref())).await
    }
}

#[async_trait]
impl RetentionStore for StoreOf {
    async fn begin_pruning(&self, retention: Duration) -> Result<PruneRound, StoreError> {
        self.ask("begin_pruning", move |tables, now| tables.begin_pruning(retention, now)).await
    }

    async fn prune_step(&self, round: &mut PruneRound, most: u32) -> Result<PruneCounts, StoreError> {
        let mut next = round.clone();
        let (next, counts) = self
            .ask("prune", move |tables, _| {
                let counts = tables.prune_step(&mut next, most);
                (next, counts)
            })
            .await?;
        *round = next;
        Ok(counts)
    }

    async fn forget_audit(&self, _: Duration, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// Nothing is searched in memory.
impl testmo_courier::store::SearchStore for StoreOf {}

#[async_trait]
impl AccountStore for StoreOf {
    async fn permit(&self, account: &str, tenant: Option<&TenantId>, lease: Duration) -> Result<Permit, StoreError> {
        let (account, tenant) = (account.to_owned(), tenant.cloned());
        let (diary, worker) = (self.store.diary.clone(), self.worker);
        self.ask("permit", move |tables, now| {
            let permit = tables.permit(&account, tenant.as_ref(), lease, now);
            if permit != Permit::Granted {
                diary.note(|| format!("w{worker} permit for {account}: {permit:?}"));
            }
            permit
        })
        .await
    }

    async fn throttle(&self, account: &str) -> Result<Throttle, StoreError> {
        let account = account.to_owned();
        self.ask("throttle", move |tables, _| tables.throttle(&account)).await
    }

    async fn pauses(&self, accounts: &[Arc<str>]) -> Result<Vec<Option<Duration>>, StoreError> {
        let accounts = accounts.to_vec();
        self.ask("pauses", move |tables, now| tables.pauses(&accounts, now)).await
    }

    async fn lane_overrides(&self) -> Result<Vec<LaneOverride>, StoreError> {
        self.ask("lane_overrides", |tables, _| tables.lane_overrides()).await
    }
}

#[async_trait]
impl FolderStore for StoreOf {
    async fn claim_folder(&self, new: &NewFolder, holder: &str, lease: Duration) -> Result<FolderClaim, StoreError> {
        let (new, holder) = (new.clone(), holder.to_owned());
        let (diary, worker) = (self.store.diary.clone(), self.worker);
        self.ask("claim_folder", move |tables, now| {
            let claim = tables.claim_folder(&new, &holder, lease, now);
            diary.note(|| format!("w{worker} claim folder {} in {}: {claim:?}", new.name, new.parent));
            claim
        })
        .await
    }

    async fn begin_folder_request(
        &self,
        folder: &NewFolder,
        holder: &str,
        limits: &FolderLimits,
    ) -> Result<FolderPermit, StoreError> {
        let (folder, holder, limits) = (folder.clone(), holder.to_owned(), *limits);
        self.ask("begin_folder_request", move |tables, now| tables.begin_folder_request(&folder, &holder, &limits, now))
            .await
    }

    async fn release_folder(&self, folder: &NewFolder, holder: &str, end: &FolderEnd) -> Result<(), StoreError> {
        let (folder, holder, end) = (folder.clone(), holder.to_owned(), end.clone());
        self.ask("release_folder", move |tables, now| tables.release_folder(&folder, &holder, &end, now)).await
    }

    async fn known_folder(&self, folder: &NewFolder) -> Result<Option<KnownFolder>, StoreError> {
        let folder = folder.clone();
        self.ask("known_folder", move |tables, _| tables.known_folder(&folder)).await
    }

    async fn forget_folder(&self, folder: &NewFolder, id: u64) -> Result<(), StoreError> {
        let folder = folder.clone();
        self.ask("forget_folder", move |tables, _| tables.forget_folder(&folder, id)).await
    }
}

#[async_trait]
impl ShelfStore for StoreOf {
    async fn due_tenants(&self, most: u32) -> Result<Vec<DueTenant>, StoreError> {
        self.ask("due_tenants", move |tables, now| tables.due_tenants(most, now)).await
    }

    async fn lease_due(
        &self,
        _holder: &str,
        lease: Duration,
        asks: &[(TenantId, u32)],
        most_bytes: usize,
    ) -> Result<Vec<Shelved>, StoreError> {
        let asks = asks.to_vec();
        self.ask("lease_due", move |tables, now| tables.lease_due(lease, &asks, most_bytes, now)).await
    }

    async fn shed_counts(&self, most: u32) -> Result<Vec<(TenantId, u64)>, StoreError> {
        self.ask("shed_counts", move |tables, _| tables.shed_counts(most)).await
    }

    async fn lease_suspect(&self, _holder: &str, lease: Duration) -> Result<Option<Shelved>, StoreError> {
        self.ask("lease_suspect", move |tables, now| tables.lease_suspect(lease, now)).await
    }

    async fn release(&self, leases: &[(ShelfId, i64)]) -> Result<(), StoreError> {
        let leases = leases.to_vec();
        self.ask("release", move |tables, _| tables.release(&leases)).await
    }

    async fn postpone_row(&self, id: ShelfId, generation: i64, wait: Duration) -> Result<(), StoreError> {
        self.ask("postpone_row", move |tables, now| tables.postpone_row(id, generation, wait, now)).await
    }

    async fn shelf_counts(&self) -> Result<Vec<ShelfCount>, StoreError> {
        self.ask("shelf_counts", |tables, _| tables.shelf_counts()).await
    }

    async fn shelf_ages(&self) -> Result<ShelfAges, StoreError> {
        self.ask("shelf_ages", |tables, _| tables.shelf_ages()).await
    }

    /// Nothing in memory was shelved by an earlier version.
    async fn fill_causes(&self, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn count_cases(&self, _: u32) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn connected_since(&self, after: ShelfId, most: u32) -> Result<Vec<Shelved>, StoreError> {
        self.ask("connected_since", move |tables, now| tables.connected_since(after, most, now)).await
    }
}

#[async_trait]
impl OutboxStore for StoreOf {
    async fn unsent(&self, most: u32, taken_for: Duration) -> Result<Vec<OutboxEvent>, StoreError> {
        let is_stopped = |tables: &mut Tables, _| tables.has(Mutation::StopRelay) && tables.announced > 2;
        if self.store.at_once(is_stopped) {
            return std::future::pending().await;
        }
        self.ask("unsent", move |tables, now| tables.unsent(most, taken_for, now)).await
    }

    async fn mark_sent(&self, sent: &[OutboxEvent]) -> Result<(), StoreError> {
        let sent = sent.to_vec();
        self.ask("mark_sent", move |tables, _| tables.mark_sent(&sent)).await
    }

    async fn postpone(&self, events: &[OutboxEvent], pause: Duration) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.ask("postpone", move |tables, now| tables.postpone(&events, pause, now)).await
    }

    async fn due_count(&self) -> Result<i64, StoreError> {
        self.ask("due_count", |tables, _| tables.due_count()).await
    }

    async fn resend_event(&self, _: &str, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.ask("resend_event", move |tables, now| tables.resend_event(&id, now)).await
    }
}

#[async_trait]
impl UnboundStore for StoreOf {
    async fn set_aside(&self, returned: &[OutboxEvent], behind: &[OutboxEvent]) -> Result<(), StoreError> {
        let (returned, behind) = (returned.to_vec(), behind.to_vec());
        self.ask("set_aside", move |tables, now| tables.set_aside(&returned, &behind, now)).await
    }

    async fn take_probes(&self, most: u32, lease: Duration) -> Result<Vec<Probe>, StoreError> {
        self.ask("take_probes", move |tables, now| tables.take_probes(most, lease, now)).await
    }

    async fn release_waiting(&self, key: &str, most: u32, taken_for: Duration) -> Result<Released, StoreError> {
        let key = key.to_owned();
        self.ask("release_waiting", move |tables, now| tables.release_waiting(&key, most, taken_for, now)).await
    }

    async fn unbound_counts(&self, old_events: Duration, old_keys: Duration) -> Result<UnboundCounts, StoreError> {
        self.ask("unbound_counts", move |tables, now| tables.unbound_counts(old_events, old_keys, now)).await
    }
}

#[async_trait]
impl ConnectionStore for StoreOf {
    async fn connection(&self, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError> {
        if tenant.as_str() == POISON {
            self.fuse.blow();
        }
        let tenant = tenant.clone();
        self.ask("connection", move |tables, _| tables.connection(&tenant)).await
    }

    async fn keys_expiring_by(&self, day: &str) -> Result<Vec<(TenantId, String)>, StoreError> {
        let day = day.to_owned();
        self.ask("keys_expiring_by", move |tables, _| tables.keys_expiring_by(&day)).await
    }

    async fn connected_tenants(&self, most: u32) -> Result<Vec<TenantId>, StoreError> {
        self.ask("connected_tenants", move |tables, _| tables.connected_tenants(most)).await
    }

    async fn connection_counts(&self) -> Result<Vec<ConnectionCount>, StoreError> {
        self.ask("connection_counts", |tables, _| tables.connection_counts()).await
    }

    async fn set_connection_by(&self, row: &ConnectionRow, _: &[AuditEntry]) -> Result<WriteOutcome, StoreError> {
        let row = row.clone();
        self.ask("set_connection", move |tables, now| tables.set_connection(&row, now)).await
    }

    async fn record_verification_by(
        &self,
        (tenant, version, epoch): (&TenantId, &str, u64),
        finding: &Verification,
        _: &[AuditEntry],
    ) -> Result<WriteOutcome, StoreError> {
        let (tenant, version, finding) = (tenant.clone(), version.to_owned(), finding.clone());
        let (diary, worker) = (self.store.diary.clone(), self.worker);
        self.ask("record_verification", move |tables, now| {
            diary.note(|| format!("w{worker} finds of {tenant}: {finding:?}"));
            tables.record_verification(&tenant, &version, epoch, &finding, now)
        })
        .await
    }

    async fn note_fields(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        fields: &FieldKinds,
    ) -> Result<WriteOutcome, StoreError> {
        let (tenant, version, fields) = (tenant.clone(), version.to_owned(), fields.clone());
        self.ask("note_fields", move |tables, _| tables.note_fields(&tenant, &version, epoch, &fields)).await
    }

    async fn record_refusal(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        reason: Reason,
        detail: &str,
    ) -> Result<WriteOutcome, StoreError> {
        let finding = Verification::Fails { reason, detail: detail.to_owned() };
        let (tenant, version) = (tenant.clone(), version.to_owned());
        let (diary, worker) = (self.store.diary.clone(), self.worker);
        self.ask("record_refusal", move |tables, now| {
            diary.note(|| format!("w{worker} is refused for {tenant}: {finding:?}"));
            tables.record_refusal(&tenant, &version, epoch, &finding, now)
        })
        .await
    }

    async fn take_reverifications(&self, lease: Duration, most: u32) -> Result<Vec<ConnectionRow>, StoreError> {
        self.ask("take_reverifications", move |tables, now| tables.take_reverifications(lease, most, now)).await
    }

    async fn wrapped_master_key(&self) -> Result<Option<WrappedKey>, StoreError> {
        // No plan replaces the master key.
        Ok(None)
    }
}
