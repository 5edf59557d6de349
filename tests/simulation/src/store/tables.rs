//! What is in the store? Every table as a value, changed by one call at a time.

use std::collections::{BTreeMap, BTreeSet};

use testmo_courier::account::Throttle;
use testmo_courier::batch::undo::Undo;
use testmo_courier::batch::written::{CaseIdentity, SourceId, WrittenCase};
use testmo_courier::batch::{BatchKey, TenantId};
use testmo_courier::store::accounts::LaneOverride;
use testmo_courier::store::audit::AuditEntry;
use testmo_courier::store::connections::ConnectionRow;
use testmo_courier::store::folders::{CreateRequests, KnownFolder};
use testmo_courier::store::history::HistoryEntry;
use testmo_courier::store::instances::Instance;
use testmo_courier::store::ledger::StoredBatch;
use testmo_courier::store::outbox::OutboxEvent;
use testmo_courier::store::replays::ReplayId;
use testmo_courier::store::shelf::{ShelfId, ShelfIdentity, ShelfState, Shelving};
use testmo_courier::store::trend::{Counts, Width};

use super::replays::{Note, Replay};
use super::windows::WindowRow;
use super::written::SourceRow;
use crate::mutation::Mutation;

/// A folder to be created: account, project, parent, folded name.
pub(crate) type FolderKey = (String, u64, u64, String);

/// Everything that is kept. Times are milliseconds on the store's clock.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Whether several workers share it, so that whoever takes an event keeps others from it.
    pub(crate) shared: bool,
    /// The defect that is put into it, if any.
    pub(crate) mutation: Option<Mutation>,
    pub(crate) connections: BTreeMap<TenantId, ConnectionEntry>,
    pub(crate) throttles: BTreeMap<String, Throttle>,
    pub(crate) orders: Vec<LaneOverride>,
    pub(crate) batches: BTreeMap<BatchKey, BatchEntry>,
    pub(crate) pushes: BTreeMap<String, Push>,
    pub(crate) parts: BTreeSet<(BatchKey, String)>,
    pub(crate) shelf: BTreeMap<i64, ShelfRow>,
    pub(crate) shelved: i64,
    /// What people have discarded, by its id on the shelf, and when.
    pub(crate) discarded: BTreeMap<i64, (ShelfRow, i64)>,
    pub(crate) folder_claims: BTreeMap<FolderKey, FolderClaimed>,
    pub(crate) folders: BTreeMap<FolderKey, FolderRow>,
    pub(crate) outbox: BTreeMap<String, OutboxRow>,
    pub(crate) announced: u64,
    pub(crate) unbound_keys: BTreeMap<String, UnboundKey>,
    pub(crate) histories: BTreeMap<BatchKey, BTreeMap<u64, HistoryEntry>>,
    pub(crate) written: BTreeMap<CaseIdentity, (WrittenCase, i64)>,
    pub(crate) sources: BTreeMap<SourceId, SourceRow>,
    /// Undos with their rows, and what cases were before batches wrote fields of theirs, by batch and number or epoch.
    pub(crate) undos: BTreeMap<(BatchKey, u64), Undo>,
    pub(crate) former: BTreeMap<(BatchKey, u64), Vec<u8>>,
    /// What was known of cases before they were written, by batch and epoch.
    pub(crate) windows: BTreeMap<(BatchKey, u64), WindowRow>,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) suspicions: BTreeMap<String, i64>,
    pub(crate) replays: BTreeMap<ReplayId, Replay>,
    /// What workers counted in steps of time, by width and begin.
    pub(crate) trend: BTreeMap<(Width, i64), Counts>,
    /// The number and the time of each worker's last addition to the trend.
    pub(crate) trend_sources: BTreeMap<String, (u64, i64)>,
    /// What left the shelf in the present change, and comes back under another identity, with its replay.
    pub(crate) handed_over: Vec<(ReplayId, ShelfId)>,
    /// Every claim that was granted, and every pause that an account asked for, in order: no tables of a real store, but
    /// what the checks go by.
    pub(crate) grants: Vec<Grant>,
    pub(crate) rate_limit_pauses: Vec<RateLimitPause>,
    /// Every permit for a request that needs no claim, in order.
    pub(crate) permits: Vec<Permitted>,
    /// What happened to replays and to entries of the shelf, in order.
    pub(crate) journal: Vec<Note>,
    /// What was kept of it, in order.
    pub(crate) audit: Vec<AuditEntry>,
    /// What workers have counted and not marked yet, if they are to do this apart: by worker, replay and place.
    pub(crate) counted_apart: Vec<(u64, ReplayId, u64)>,
    /// The workers that run.
    pub(crate) alive: BTreeSet<u64>,
    /// Who makes the present call; 0 is nobody of the workers.
    pub(crate) caller: u64,
}

#[derive(Debug)]
pub(crate) struct ConnectionEntry {
    pub(crate) row: ConnectionRow,
    pub(crate) recheck_at: Option<i64>,
    pub(crate) rechecks: u32,
    /// Whether an event reports that it failed, and none that it works again.
    pub(crate) is_reported: bool,
    /// Until when the tenant is paused because a person may remove it.
    pub(crate) removing_until: Option<i64>,
}

#[derive(Debug)]
pub(crate) struct BatchEntry {
    pub(crate) stored: StoredBatch,
    pub(crate) pruned: bool,
    /// Not before this is it given out for a last look again.
    pub(crate) look_after: i64,
}

#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) account: String,
    pub(crate) tenant: TenantId,
    pub(crate) claimed_at: i64,
    pub(crate) lease_until: i64,
    pub(crate) ended: bool,
    pub(crate) ended_at: Option<i64>,
    pub(crate) ids: Option<(u64, u64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct ShelfRow {
    pub(crate) generation: i64,
    pub(crate) state: ShelfState,
    pub(crate) content: Shelving,
    pub(crate) due_at: i64,
    pub(crate) shelved_at: i64,
    pub(crate) lease_until: Option<i64>,
    pub(crate) person_epoch: i64,
    pub(crate) replay: Option<ReplayId>,
}

#[derive(Debug)]
pub(crate) struct FolderClaimed {
    pub(crate) holder: String,
    pub(crate) until: i64,
    /// Whether a create request was counted under it.
    pub(crate) counted: bool,
}

/// What is known of a folder that was to be created.
#[derive(Debug, Default)]
pub(crate) struct FolderRow {
    pub(crate) known: Option<KnownFolder>,
    pub(crate) requests: CreateRequests,
}

#[derive(Debug)]
pub(crate) struct OutboxRow {
    /// Counts rows: events of the same moment go out in the order in which they were stored.
    pub(crate) number: u64,
    pub(crate) event: OutboxEvent,
    pub(crate) sent: bool,
    /// Since when it has been waiting for a queue, if it is.
    pub(crate) aside_at: Option<i64>,
}

/// A routing key that no queue is bound for.
#[derive(Debug)]
pub(crate) struct UnboundKey {
    pub(crate) since: i64,
    pub(crate) returned_at: i64,
    pub(crate) pause: i64,
    pub(crate) probe_at: i64,
    pub(crate) probed_at: i64,
}

/// The right to send one request, as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// To which worker.
    pub(crate) to: u64,
    /// The push that it is for.
    pub(crate) push: String,
    pub(crate) at: i64,
    pub(crate) lease_until: i64,
    pub(crate) account: String,
    /// What is to be sent of each batch.
    pub(crate) shares: Vec<Share>,
    /// Whether a request was seen that it allowed.
    pub(crate) used: bool,
}

/// What of one batch a request is to carry.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) batch: BatchKey,
    /// The folder of each claimed case, in order.
    pub(crate) folders: Vec<u64>,
}

/// A pause that an account asked for, from when it was stored.
#[derive(Clone, Debug)]
pub(crate) struct RateLimitPause {
    pub(crate) account: String,
    pub(crate) until: i64,
    /// How many claims had been granted by then.
    pub(crate) grants_before: usize,
    /// How many permits had been given by then.
    pub(crate) permits_before: usize,
}

/// The right to send one request that creates no cases, as it was given.
#[derive(Clone, Debug)]
pub(crate) struct Permitted {
    /// To which worker.
    pub(crate) to: u64,
    pub(crate) account: String,
    pub(crate) at: i64,
    /// Whether a request was seen that it allowed.
    pub(crate) used: bool,
}

impl Tables {
    /// Returns whether a worker runs.
    pub(crate) fn is_alive(&self, worker: u64) -> bool {
        self.alive.contains(&worker)
    }

    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

/// A time from now, in milliseconds.
pub(crate) fn after(now: i64, wait: std::time::Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

/// Whether something on the shelf belongs to a batch.
pub(crate) fn is_of(identity: &ShelfIdentity, key: &BatchKey) -> bool {
    match identity {
        ShelfIdentity::Batch(of, _) => of == key,
        ShelfIdentity::Raw(_, tenant, batch) => {
            tenant.as_ref() == Some(&key.tenant) && batch.as_ref() == Some(&key.batch)
        }
    }
}

/// The batch of something on the shelf, as far as known.
pub(crate) fn batch_of(identity: &ShelfIdentity) -> Option<BatchKey> {
    match identity {
        ShelfIdentity::Batch(key, _) => Some(key.clone()),
        ShelfIdentity::Raw(_, tenant, batch) => Some(BatchKey::new(tenant.clone()?, batch.clone()?)),
    }
}

/// Whose something on the shelf is, as far as known.
pub(crate) fn tenant_of(identity: &ShelfIdentity) -> Option<&TenantId> {
    match identity {
        ShelfIdentity::Batch(key, _) => Some(&key.tenant),
        ShelfIdentity::Raw(_, tenant, _) => tenant.as_ref(),
    }
}
