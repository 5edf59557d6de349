//! Runs the worker with a store that keeps nothing: every claim is granted, every change succeeds, and events wait in
//! memory until they are published.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use testmo_courier::account::Throttle;
use testmo_courier::amqp::{Intake, Publisher, Subscription};
use testmo_courier::batch::render::kinds::FieldKinds;
use testmo_courier::batch::restored::Restored;
use testmo_courier::batch::written::{CaseIdentity, SourceId};
use testmo_courier::batch::{BatchKey, Reason, TenantId};
use testmo_courier::clock::Clock;
use testmo_courier::config::{Sources, load};
use testmo_courier::http::{self, Readiness};
use testmo_courier::metrics::Metrics;
use testmo_courier::store::accounts::{LaneOverride, Permit};
use testmo_courier::store::audit::AuditEntry;
use testmo_courier::store::connections::{ConnectionCount, ConnectionRow, Verification, WriteOutcome};
use testmo_courier::store::ledger::{Claim, ClaimOutcome, Commit, CommitOutcome, KnownIds, PushMembers, StoredBatch};
use testmo_courier::store::outbox::OutboxEvent;
use testmo_courier::store::rotation::WrappedKey;
use testmo_courier::store::shelf::{DueTenant, ShelfAges, ShelfCount, ShelfId, Shelved};
use testmo_courier::store::unbound::{Probe, Released, UnboundCounts};
use testmo_courier::store::windows::DueWindows;
use testmo_courier::store::written::{Remembered, SourceClaim, SourceOutcome};
use testmo_courier::store::{
    AccountStore, ConnectionStore, LedgerStore, OutboxStore, PruneCounts, PruneRound, RetentionStore, ShelfStore,
    Store, StoreError, StoreHealth, UnboundStore, WindowStore, WrittenStore,
};
use testmo_courier::telemetry;
use testmo_courier::tenants::Keyring;
use testmo_courier::testmo::Client;
use testmo_courier::worker::{Neighbours, work};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long an event is reserved for its publisher, in milliseconds: longer than any event waits, because no other
/// worker would publish it.
const TURN_MS: i64 = 600_000;
/// The worker's own prefetch for the queues of undeliverable messages.
const UNDELIVERABLE_PREFETCH: u16 = 20;

/// Runs the worker as `testmo-courier run` does, except for its store, until SIGTERM.
pub(crate) async fn run(file: &Path) -> anyhow::Result<()> {
    let config = load(&Sources { files: vec![file.to_owned()], ..Sources::default() })?;
    telemetry::start(&config.log);
    let made = Store::open(&config.store, false, Clock::system()).await?;
    let store = Storeless::with(made.connections().await?);
    made.close().await;
    let keyring = Keyring::load(&config.keys.master_key_file)?;
    let client = Client::new(&config.testmo, store.clock())?;
    let (metrics, readiness) = (Metrics::new()?, Readiness::default());
    let (links, close, stop) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
    let amqp = &config.amqp;
    let start = |queue: &str, prefetch| {
        let subscription = Subscription { queue: queue.to_owned(), prefetch, memory: u64::MAX };
        Intake::start(amqp, subscription, &links, close.child_token())
    };
    let (lanes, views) = mpsc::channel(4);
    let neighbours = Neighbours {
        cases: start(&amqp.cases_queue, amqp.prefetch),
        dead: start(&amqp.dead_letter_queue, UNDELIVERABLE_PREFETCH),
        unrouted: start(&amqp.unrouted_queue, UNDELIVERABLE_PREFETCH),
        publisher: Arc::new(Publisher::start(amqp, &links, close.child_token())),
        store: Arc::new(store),
        restored: Restored::default(),
        client,
        spans: testmo_courier::trace::Spans::default(),
        configs: watch::channel(config.clone()).1,
        views,
        close: close.clone(),
    };
    let listener = TcpListener::bind(config.observe.listen).await?;
    links.spawn(http::serve(listener, metrics.clone(), readiness.clone(), lanes, close.child_token()));
    let mut terminate = signal(SignalKind::terminate())?;
    let told = stop.clone();
    links.spawn(async move {
        terminate.recv().await;
        told.cancel();
    });
    work(config, keyring, metrics, readiness, neighbours, stop).await?;
    links.close();
    links.wait().await;
    Ok(())
}

/// A store that keeps only the given connections and the waiting events.
#[derive(Debug)]
pub(crate) struct Storeless {
    clock: Clock,
    connections: HashMap<TenantId, ConnectionRow>,
    outbox: Mutex<Vec<OutboxEvent>>,
}

impl Storeless {
    fn with(rows: Vec<ConnectionRow>) -> Self {
        let connections = rows.into_iter().map(|row| (row.tenant.clone(), row)).collect();
        Self { clock: Clock::system(), connections, outbox: Mutex::default() }
    }

    fn outbox(&self) -> std::sync::MutexGuard<'_, Vec<OutboxEvent>> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StoreHealth for Storeless {
    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}

#[async_trait]
impl LedgerStore for Storeless {
    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        Ok(ClaimOutcome::Granted {
            at: self.now(),
            limit: claim.ceiling,
            ids: KnownIds::default(),
            stale: vec![],
            contested: vec![],
            unreadable: vec![],
        })
    }

    async fn commit(&self, change: Arc<Commit>) -> Result<CommitOutcome, StoreError> {
        let now = self.now();
        let events: Vec<OutboxEvent> =
            change.events.iter().map(|event| OutboxEvent::of(event, now, now + TURN_MS)).collect();
        if change.owner_grace.is_none() {
            self.outbox().extend(events.iter().cloned());
        }
        Ok(CommitOutcome::Done(events))
    }

    async fn batch_at(&self, _: &BatchKey) -> Result<(Option<StoredBatch>, i64), StoreError> {
        Ok((None, self.now()))
    }

    async fn held_ids(&self, _: &str, _: &[u64]) -> Result<HashSet<u64>, StoreError> {
        Ok(HashSet::new())
    }

    async fn ids_given_before(&self, _: &str, _: &[u64], _: i64) -> Result<HashSet<u64>, StoreError> {
        Ok(HashSet::new())
    }

    async fn last_push(&self, _: &BatchKey, _: &str, _: Option<&str>) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn push_members(&self, _: &str) -> Result<PushMembers, StoreError> {
        Ok(PushMembers::default())
    }

    async fn take_late_checks(&self, _: Duration, _: Duration, _: u32) -> Result<Vec<StoredBatch>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl WindowStore for Storeless {
    async fn take_windows(&self, _: Duration, _: u32) -> Result<Vec<DueWindows>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl RetentionStore for Storeless {
    async fn begin_pruning(&self, _: Duration) -> Result<PruneRound, StoreError> {
        Ok(PruneRound::default())
    }

    async fn prune_step(&self, round: &mut PruneRound, _: u32) -> Result<PruneCounts, StoreError> {
        (round.no_batches_left, round.no_events_left, round.no_unroutable_left) = (true, true, true);
        Ok(PruneCounts::default())
    }

    async fn forget_audit(&self, _: Duration, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }
}

impl testmo_courier::store::SearchStore for Storeless {}
#[async_trait]
impl WrittenStore for Storeless {
    async fn written(&self, _: &TenantId, _: &[CaseIdentity]) -> Result<Vec<Remembered>, StoreError> {
        Ok(Vec::new())
    }

    async fn written_of_source(
        &self,
        _: &TenantId,
        _: SourceId,
        _: Option<CaseIdentity>,
        _: u32,
    ) -> Result<Vec<Remembered>, StoreError> {
        Ok(Vec::new())
    }

    async fn claim_sources(&self, _: &SourceClaim) -> Result<SourceOutcome, StoreError> {
        Ok(SourceOutcome::Granted { latest_at: None })
    }

    async fn forget_written(&self, _: Duration, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }
}

#[async_trait]
impl AccountStore for Storeless {
    async fn permit(&self, _: &str, _: Option<&TenantId>, _: Duration) -> Result<Permit, StoreError> {
        Ok(Permit::Granted)
    }

    async fn throttle(&self, _: &str) -> Result<Throttle, StoreError> {
        Ok(Throttle::default())
    }

    async fn pauses(&self, accounts: &[Arc<str>]) -> Result<Vec<Option<Duration>>, StoreError> {
        Ok(vec![None; accounts.len()])
    }

    async fn lane_overrides(&self) -> Result<Vec<LaneOverride>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl ShelfStore for Storeless {
    async fn due_tenants(&self, _: u32) -> Result<Vec<DueTenant>, StoreError> {
        Ok(Vec::new())
    }

    async fn shed_counts(&self, _: u32) -> Result<Vec<(TenantId, u64)>, StoreError> {
        Ok(Vec::new())
    }

    async fn lease_due(
        &self,
        _: &str,
        _: Duration,
        _: &[(TenantId, u32)],
        _: usize,
    ) -> Result<Vec<Shelved>, StoreError> {
        Ok(Vec::new())
    }

    async fn lease_suspect(&self, _: &str, _: Duration) -> Result<Option<Shelved>, StoreError> {
        Ok(None)
    }

    async fn release(&self, _: &[(ShelfId, i64)]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn postpone_row(&self, _: ShelfId, _: i64, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn shelf_counts(&self) -> Result<Vec<ShelfCount>, StoreError> {
        Ok(Vec::new())
    }

    async fn shelf_ages(&self) -> Result<ShelfAges, StoreError> {
        Ok(ShelfAges::default())
    }

    async fn fill_causes(&self, _: u32) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn count_cases(&self, _: u32) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn connected_since(&self, _: ShelfId, _: u32) -> Result<Vec<Shelved>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl OutboxStore for Storeless {
    async fn unsent(&self, most: u32, _: Duration) -> Result<Vec<OutboxEvent>, StoreError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut outbox = self.outbox();
        let many = outbox.len().min(most);
        Ok(outbox.drain(..many).collect())
    }

    async fn mark_sent(&self, _: &[OutboxEvent]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn postpone(&self, events: &[OutboxEvent], _: Duration) -> Result<(), StoreError> {
        self.outbox().extend_from_slice(events);
        Ok(())
    }

    async fn due_count(&self) -> Result<i64, StoreError> {
        Ok(i64::try_from(self.outbox().len()).unwrap_or(i64::MAX))
    }

    async fn resend_event(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl UnboundStore for Storeless {
    async fn set_aside(&self, returned: &[OutboxEvent], behind: &[OutboxEvent]) -> Result<(), StoreError> {
        self.outbox().extend(returned.iter().chain(behind).cloned());
        Ok(())
    }

    async fn take_probes(&self, _: u32, _: Duration) -> Result<Vec<Probe>, StoreError> {
        Ok(Vec::new())
    }

    async fn release_waiting(&self, _: &str, _: u32, _: Duration) -> Result<Released, StoreError> {
        Ok(Released { events: Vec::new(), is_last: true })
    }

    async fn unbound_counts(&self, _: Duration, _: Duration) -> Result<UnboundCounts, StoreError> {
        Ok(UnboundCounts::default())
    }
}

#[async_trait]
impl ConnectionStore for Storeless {
    async fn connection(&self, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError> {
        Ok(self.connections.get(tenant).cloned())
    }

    async fn connected_tenants(&self, _: u32) -> Result<Vec<TenantId>, StoreError> {
        Ok(self.connections.keys().cloned().collect())
    }

    async fn keys_expiring_by(&self, _: &str) -> Result<Vec<(TenantId, String)>, StoreError> {
        Ok(Vec::new())
    }

    async fn connection_counts(&self) -> Result<Vec<ConnectionCount>, StoreError> {
        Ok(Vec::new())
    }

    async fn set_connection_by(&self, _: &ConnectionRow, _: &[AuditEntry]) -> Result<WriteOutcome, StoreError> {
        Ok(WriteOutcome::Done)
    }

    async fn record_verification_by(
        &self,
        _: (&TenantId, &str, u64),
        _: &Verification,
        _: &[AuditEntry],
    ) -> Result<WriteOutcome, StoreError> {
        Ok(WriteOutcome::Done)
    }

    async fn note_fields(&self, _: &TenantId, _: &str, _: u64, _: &FieldKinds) -> Result<WriteOutcome, StoreError> {
        Ok(WriteOutcome::Done)
    }

    async fn record_refusal(
        &self,
        _: &TenantId,
        _: &str,
        _: u64,
        _: Reason,
        _: &str,
    ) -> Result<WriteOutcome, StoreError> {
        Ok(WriteOutcome::Done)
    }

    async fn take_reverifications(&self, _: Duration, _: u32) -> Result<Vec<ConnectionRow>, StoreError> {
        Ok(Vec::new())
    }

    async fn wrapped_master_key(&self) -> Result<Option<WrappedKey>, StoreError> {
        Ok(None)
    }
}
