//! What does every part of the worker need, and how is a batch received, shelved and settled with it?

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::announce;
use super::aside::aside;
use super::crash::{self, Point};
use super::entry::{Entry, Identity, Parcel};
use super::intake::patiently;
use super::lanes_view::Backlog;
use super::locate::Folders;
use super::sample::Samples;
use super::suspects::Suspects;
use crate::batch::event::{self, Event, Telling};
use crate::batch::ledger::{BatchRecord, BatchState, CaseState};
use crate::batch::message::decode::{Undecodable, decode};
use crate::batch::verdict::PatienceLimits;
use crate::batch::{BatchKey, Fault, Reason, TenantId, excerpt, raw_hash};
use crate::clock::Clock;
use crate::config::Config;
use crate::guard::may_panic;
use crate::metrics::Metrics;
use crate::store::ledger::{Commit, CommitOutcome, RecordUpdate};
use crate::store::outbox::OutboxEvent;
use crate::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use crate::store::{Storage, StoreError, UnreadableRow};
use crate::tenants::{Resolution, ResolveError, Tenants};
use crate::testmo::Client;

/// How long a worker holds on to what is in hand while the store does not answer.
pub(super) const STORE_PATIENCE: Duration = Duration::from_secs(300);
/// A batch that waits longer than this is told of.
const LONG_WAIT: Duration = Duration::from_secs(300);
/// The pause between attempts to reach a store that does not answer.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);

/// How long something waits at most until it is seen whether a row of the store can be read by now.
const HELD: Duration = Duration::from_secs(300);

/// The most characters of a detail on the shelf.
const LONGEST_DETAIL: usize = 8_000;

/// The worker's neighbours and rules.
pub(super) struct Courier {
    pub(super) config: Config,
    pub(super) store: Arc<dyn Storage>,
    pub(super) tenants: Tenants,
    pub(super) client: Client,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    /// Who this worker is in claims and leases.
    pub(super) holder: String,
    /// Folders that were found by path.
    pub(super) folders: Folders,
    /// Cases that Testmo has to show.
    pub(super) samples: Samples,
    /// Connections whose create requests were answered with a status that does not tell their outcome.
    pub(super) suspects: Suspects,
    /// Batches of each tenant that wait on the shelf for room, as last counted.
    pub(super) shelved: Mutex<Backlog>,
    /// Told when there is room for what is on the shelf.
    pub(super) shelf_wanted: Arc<Notify>,
    /// Told when events were stored that are due for whoever asks.
    pub(super) announce: Arc<Notify>,
    /// Takes events that were stored for this worker alone to announce.
    pub(super) stored: mpsc::Sender<OutboxEvent>,
}

/// What came of a parcel.
pub(super) enum Arrival {
    /// Work for a lane.
    Work(Box<Entry>),
    /// It is on the shelf.
    Shelved,
}

impl Courier {
    /// Batches of each tenant that wait on the shelf for room.
    pub(super) fn backlog(&self) -> Backlog {
        self.shelved.lock().map(|shelved| shelved.clone()).unwrap_or_default()
    }

    /// Counts one more batch of a tenant that waits on the shelf for room, until all are counted anew; tells how many.
    pub(super) fn one_more_waits(&self, tenant: &TenantId) -> u64 {
        let Ok(mut shelved) = self.shelved.lock() else { return 0 };
        let count = shelved.entry(tenant.clone()).or_default();
        *count += 1;
        *count
    }

    /// Puts a message aside, undecoded, that may have stopped workers or over which one panicked. A row that it came
    /// from goes.
    pub(super) async fn put_aside(&self, parcel: &Parcel, panic: Option<&str>) -> Result<(), StoreError> {
        let hash = raw_hash(&parcel.body);
        let shelving = Shelving {
            detail: panic.map(|panic| excerpt(&format!("a defect in the worker: {panic}"), LONGEST_DETAIL)),
            // A suspect's tries count apart from the failures of a batch.
            parks: parcel.tried_apart,
            ..shelving_of(
                parcel,
                ShelfIdentity::Raw(hash.clone(), None, None),
                Reason::Suspect,
                ShelvedUntil::After(Duration::ZERO),
            )
        };
        let unshelve = parcel.lease.map(|(id, generation)| (id.0, generation));
        self.put(Commit { shelve: Some(shelving), unshelve, ..Commit::default() }).await?;
        match panic {
            None => tracing::warn!(hash, "a message was in hand when workers stopped; it is tried apart from others"),
            Some(_) => tracing::warn!(hash, "the worker panicked over a message; it is tried apart from others"),
        }
        self.count_shelved(Reason::Suspect, "parked");
        Ok(())
    }

    /// Decodes, resolves and renders a message; what cannot be worked on now goes onto the shelf.
    pub(super) async fn arrive(&self, parcel: Parcel) -> Result<Arrival, StoreError> {
        if parcel.body.len() > self.config.amqp.max_message_bytes {
            let detail = format!("{} bytes, at most {}", parcel.body.len(), self.config.amqp.max_message_bytes);
            return self.shelve_message(parcel, Reason::TooLarge, None, vec![], detail).await;
        }
        let (bytes, body) = (parcel.body.len(), parcel.body.clone());
        let batch = match aside(bytes, move || decode(&body)).await {
            Ok(batch) => batch,
            Err(broken) => return self.shelve_broken(parcel, broken).await,
        };
        may_panic("arrive", &batch.key);
        let resolution = match self.tenants.resolve(&batch.key.tenant).await {
            Ok(resolution) => resolution,
            Err(ResolveError::Store(StoreError::Unreadable(row))) => {
                Resolution::NotReady { reason: Reason::StoreRowUnreadable, detail: Some(held_by(&row)), version: None }
            }
            Err(ResolveError::Store(error)) => return Err(error),
        };
        match resolution {
            Resolution::Ready(connection) => {
                let entry = aside(bytes, move || Entry::new(&batch, parcel, connection)).await;
                Ok(Arrival::Work(Box::new(entry)))
            }
            Resolution::NotReady { reason, detail, version } => {
                let fingerprint = crate::batch::fingerprint(&batch);
                let (reason, detail) = match self.is_known(&batch.key, &fingerprint, &parcel).await {
                    Ok(true) => return Ok(Arrival::Shelved),
                    Ok(false) => (reason, detail),
                    Err(StoreError::Unreadable(row)) => (Reason::StoreRowUnreadable, Some(held_by(&row))),
                    Err(error) => return Err(error),
                };
                // No connection that is entered makes a row readable.
                let is_held = reason == Reason::StoreRowUnreadable;
                let until = if is_held { ShelvedUntil::After(self.held_for()) } else { ShelvedUntil::Connection };
                let record = BatchRecord::fresh(batch.key.clone(), fingerprint.clone(), batch.case_keys());
                let events = self.deferral(&record, reason, detail.as_deref(), until);
                let identity = ShelfIdentity::Batch(batch.key, fingerprint);
                let shelving =
                    Shelving { connection: version, detail, ..shelving_of(&parcel, identity, reason, until) };
                let unshelve = parcel.suspect_lease();
                self.put(Commit { shelve: Some(shelving), unshelve, events, ..Commit::default() }).await?;
                self.count_shelved(reason, "parked");
                Ok(Arrival::Shelved)
            }
        }
    }

    async fn shelve_broken(&self, parcel: Parcel, broken: Undecodable) -> Result<Arrival, StoreError> {
        let detail = broken.detail();
        let (reason, key, tenant, faults) = match broken {
            Undecodable::NotJson(fault) => (Reason::NotJson, None, None, vec![fault]),
            Undecodable::Schema { faults, key, tenant } => (Reason::InvalidMessage, key, tenant, faults),
        };
        let whose = match key {
            Some(key) => Some((key.tenant.clone(), Some(key))),
            None => tenant.map(|tenant| (tenant, None)),
        };
        self.shelve_message(parcel, reason, whose, faults, detail).await
    }

    /// Shelves a message whose batch must not be touched: broken, too large, or in conflict.
    pub(super) async fn shelve_message(
        &self,
        parcel: Parcel,
        reason: Reason,
        whose: Option<(TenantId, Option<BatchKey>)>,
        faults: Vec<Fault>,
        detail: String,
    ) -> Result<Arrival, StoreError> {
        let detail = excerpt(&detail, LONGEST_DETAIL);
        let hash = raw_hash(&parcel.body);
        let (tenant, key) = whose.map_or((None, None), |(tenant, key)| (Some(tenant), key));
        let event = event::of_message(
            tenant.as_ref(),
            key.as_ref().map(|key| &key.batch),
            &hash,
            reason,
            &faults,
            self.clock.now(),
        );
        let identity = ShelfIdentity::Raw(hash, tenant, key.map(|key| key.batch));
        tracing::warn!(identity = ?identity, %reason, detail, "message shelved");
        let shelving =
            Shelving { detail: Some(detail), ..shelving_of(&parcel, identity, reason, ShelvedUntil::Person) };
        let unshelve = parcel.lease.map(|(id, generation)| (id.0, generation));
        let (subject, told) = (event.subject.clone(), event.id.clone());
        let change = Commit { shelve: Some(shelving), unshelve, events: vec![event], ..Commit::default() };
        if matches!(self.put(change).await?, CommitOutcome::Done(fresh) if fresh.is_empty()) {
            // The same bytes came before: whoever published them again waits for the event again.
            self.store.resend_event(&subject, &told).await?;
            self.announce.notify_one();
        }
        crash::after(Point::Park);
        self.count_shelved(reason, "dead");
        Ok(Arrival::Shelved)
    }

    /// Shelves what the broker could not deliver to the worker, or whose headers cannot be read; only the event needs
    /// the batch in it.
    pub(super) async fn shelve_undeliverable(
        &self,
        parcel: Parcel,
        reason: Reason,
        detail: String,
    ) -> Result<(), StoreError> {
        may_panic("undeliverable", &parcel);
        // What is larger than the worker takes is not decoded, here either.
        let whose = if parcel.body.len() > self.config.amqp.max_message_bytes {
            None
        } else {
            let body = parcel.body.clone();
            match aside(body.len(), move || decode(&body)).await {
                Ok(batch) => Some((batch.key.tenant.clone(), Some(batch.key))),
                Err(Undecodable::Schema { key: Some(key), .. }) => Some((key.tenant.clone(), Some(key))),
                Err(Undecodable::Schema { tenant, .. }) => tenant.map(|tenant| (tenant, None)),
                Err(Undecodable::NotJson(_)) => None,
            }
        };
        self.shelve_message(parcel, reason, whose, vec![], detail).await?;
        Ok(())
    }

    /// Shelves a batch in hand; on return it is stored.
    pub(super) async fn park(
        &self,
        entry: &Entry,
        reason: Reason,
        detail: Option<String>,
        until: ShelvedUntil,
    ) -> Result<(), StoreError> {
        self.park_expecting(entry, reason, detail, until, until).await
    }

    /// Shelves a batch that is due again before its turn is expected to come.
    pub(super) async fn park_expecting(
        &self,
        entry: &Entry,
        reason: Reason,
        detail: Option<String>,
        until: ShelvedUntil,
        expected: ShelvedUntil,
    ) -> Result<(), StoreError> {
        let Identity { key, fingerprint } = &entry.identity;
        let is_held = reason == Reason::StoreRowUnreadable;
        if entry.stored_epoch == 0 && !is_held && patiently(|| self.is_known(key, fingerprint, &entry.parcel)).await? {
            return Ok(());
        }
        let events = self.deferral(&entry.record, reason, detail.as_deref(), expected);
        let mut shelving = Shelving { detail, ..self.shelving(entry, reason, until) };
        if let (Reason::Throttled, ShelvedUntil::After(pause)) = (reason, until) {
            let mut parcel = entry.parcel.clone();
            parcel.rested(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
            shelving.failing_since = parcel.failing_since;
        }
        let unshelve = entry.parcel.suspect_lease();
        self.put(Commit { shelve: Some(shelving), unshelve, events, ..Commit::default() }).await?;
        crash::after(Point::Park);
        tracing::info!(batch = %entry.identity.key, %reason, ?until, "batch parked");
        self.count_shelved(reason, "parked");
        Ok(())
    }

    /// Settles a batch in a terminal state; on return it is stored.
    pub(super) async fn settle(
        &self,
        entry: &mut Entry,
        state: BatchState,
        reason: Option<Reason>,
        mut change: Commit,
    ) -> Result<CommitOutcome, StoreError> {
        let now = self.store.now();
        let mut record = entry.record.clone();
        record.settle(state, now);
        let detail = reason.and_then(|_| first_refusal(entry));
        let telling = Telling { source: &entry.source, now: self.clock.now(), reason, detail: detail.as_deref() };
        change.events.extend(event::of_settlement(&record, &telling));
        match reason {
            None => change.unshelve = entry.parcel.lease.map(|(id, generation)| (id.0, generation)),
            Some(reason) => {
                change.unshelve = entry.parcel.suspect_lease();
                change.shelve = Some(Shelving { detail, ..self.shelving(entry, reason, ShelvedUntil::Person) });
            }
        }
        if state == BatchState::Delivered || state == BatchState::Partial {
            change.success = Some(entry.identity.key.tenant.clone());
        }
        change.batch = Some(RecordUpdate { record, from_epoch: entry.stored_epoch });
        let changed = self.put(change).await?;
        if changed.is_done() {
            crash::after(Point::Settle);
            entry.record.settle(state, now);
            entry.stored_epoch = entry.record.epoch;
            self.count_settled(entry, reason);
        }
        Ok(changed)
    }

    /// Whether a batch is settled already, which is then told again: a copy of it has nothing to wait for.
    async fn is_known(&self, key: &BatchKey, fingerprint: &str, parcel: &Parcel) -> Result<bool, StoreError> {
        let (stored, _) = self.store.batch_at(key).await?;
        let settled = |record: &BatchRecord| record.state != BatchState::Open && record.fingerprint == fingerprint;
        match stored.map(|stored| stored.record).filter(settled) {
            Some(record) => self.tell_again(&record, parcel).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Announces the outcome of a settled batch to whoever has published it again, and lets go of the copy.
    pub(super) async fn tell_again(&self, record: &BatchRecord, parcel: &Parcel) -> Result<(), StoreError> {
        if let Some(event) = event::settlement_id(record) {
            self.store.resend_event(&record.key.to_string(), &event).await?;
        }
        if let Some((id, generation)) = parcel.lease {
            self.store.commit(Commit { unshelve: Some((id.0, generation)), ..Commit::default() }.into()).await?;
        }
        self.announce.notify_one();
        self.metrics.batches.with_label_values(&["duplicate"]).inc();
        tracing::info!(batch = %record.key, state = record.state.name(), "duplicate of a settled batch");
        Ok(())
    }

    /// Stores the entry's record with a change.
    pub(super) async fn store_revised(&self, entry: &mut Entry, change: Commit) -> Result<CommitOutcome, StoreError> {
        let batch = Some(RecordUpdate { record: entry.record.clone(), from_epoch: entry.stored_epoch });
        let changed = self.put(Commit { batch, ..change }).await?;
        if changed.is_done() {
            entry.stored_epoch = entry.record.epoch;
        }
        Ok(changed)
    }

    /// Stores a change and has its events announced.
    async fn put(&self, mut change: Commit) -> Result<CommitOutcome, StoreError> {
        let count = change.events.len();
        let room = if count == 0 { None } else { self.stored.try_reserve_many(count).ok() };
        change.owner_grace = room.is_some().then_some(announce::TURN);
        let changed = self.store_patiently(change).await?;
        match (room, &changed) {
            (Some(room), CommitOutcome::Done(events)) => {
                room.zip(events).for_each(|(place, event)| place.send(event.clone()))
            }
            (None, CommitOutcome::Done(_)) if count > 0 => self.announce.notify_one(),
            (_, CommitOutcome::Done(_) | CommitOutcome::Fenced) => {}
        }
        Ok(changed)
    }

    /// Stores a change, trying again for as long as the worker is patient with its store: what it says has happened.
    async fn store_patiently(&self, change: Commit) -> Result<CommitOutcome, StoreError> {
        let change = Arc::new(change);
        let since = Instant::now();
        loop {
            match self.store.commit(Arc::clone(&change)).await {
                Err(error @ (StoreError::Closed | StoreError::Unreadable(_) | StoreError::Panicked(_))) => {
                    return Err(error);
                }
                Err(error) if since.elapsed() > STORE_PATIENCE => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "the store did not take a change; trying again");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
                Ok(changed) => return Ok(changed),
            }
        }
    }

    /// The event of a batch that waits for long, which is told once however often it waits.
    fn deferral(&self, record: &BatchRecord, reason: Reason, detail: Option<&str>, until: ShelvedUntil) -> Vec<Event> {
        let now = self.clock.now();
        let expected = match until {
            ShelvedUntil::After(wait) if wait <= LONG_WAIT => return Vec::new(),
            ShelvedUntil::After(wait) => i64::try_from(wait.as_millis()).ok().map(|wait| now.saturating_add(wait)),
            ShelvedUntil::Connection => None,
            ShelvedUntil::Person => return Vec::new(),
        };
        vec![event::deferred(record, reason, detail, expected, now)]
    }

    fn shelving(&self, entry: &Entry, reason: Reason, until: ShelvedUntil) -> Shelving {
        let identity = ShelfIdentity::Batch(entry.identity.key.clone(), entry.identity.fingerprint.clone());
        Shelving {
            account: Some(entry.account().to_owned()),
            connection: Some(entry.connection.version.clone()),
            ..shelving_of(&entry.parcel, identity, reason, until)
        }
    }

    fn count_shelved(&self, reason: Reason, settlement: &str) {
        self.metrics.shelved.with_label_values(&[reason.code()]).inc();
        self.metrics.batches.with_label_values(&[settlement]).inc();
    }

    fn count_settled(&self, entry: &Entry, reason: Option<Reason>) {
        let state = entry.record.state.name();
        self.metrics.batches.with_label_values(&[state]).inc();
        let cases = entry.record.cases.len();
        let lost = entry.record.cases.iter().filter(|case| case.state == CaseState::Lost).count();
        self.metrics.cases.with_label_values(&["unclear"]).inc_by(lost as u64);
        match reason {
            None => {
                tracing::info!(batch = %entry.identity.key, cases, "batch delivered");
                let published = entry.parcel.published_at.unwrap_or(entry.parcel.arrived_at);
                let took = u32::try_from((self.clock.now() - published).max(0)).unwrap_or(u32::MAX);
                self.metrics.delivery_seconds.observe(f64::from(took) / 1_000.0);
            }
            Some(reason) => {
                tracing::warn!(batch = %entry.identity.key, cases, state, %reason, "batch settled");
                self.metrics.shelved.with_label_values(&[reason.code()]).inc();
            }
        }
    }

    /// How long something waits for a row of the store to be readable.
    pub(super) fn held_for(&self) -> Duration {
        HELD.min(self.config.retry.longest_park)
    }

    pub(super) fn patience_limits(&self) -> PatienceLimits {
        let retry = &self.config.retry;
        PatienceLimits {
            in_process: retry.tries,
            first_park: retry.first_park,
            longest_park: retry.longest_park,
            horizon: retry.horizon,
            least_parks: retry.least_parks,
        }
    }
}

/// What holds something up, in words.
pub(super) fn held_by(row: &UnreadableRow) -> String {
    format!("table {}, row {}, column {}", row.table, row.key, row.column)
}

fn shelving_of(parcel: &Parcel, identity: ShelfIdentity, reason: Reason, until: ShelvedUntil) -> Shelving {
    Shelving {
        identity,
        reason,
        detail: None,
        until,
        account: None,
        connection: None,
        parks: parcel.parks,
        failing_since: parcel.failing_since,
        arrived_at: parcel.arrived_at,
        published_at: parcel.published_at,
        headers: parcel.headers.clone(),
        body: parcel.body.as_ref().clone(),
    }
}

/// The first case that did not arrive, in words.
fn first_refusal(entry: &Entry) -> Option<String> {
    entry.record.cases.iter().find_map(|case| match &case.state {
        CaseState::Refused(refusal) => {
            let said = refusal.said.first().map(|said| format!(": {}: {}", said.field, said.message));
            Some(format!("case {}{}", case.key, said.unwrap_or_default()))
        }
        CaseState::Lost if case.rejected_unclear().is_some() => {
            let status = case.rejected_unclear().unwrap_or_default();
            Some(format!("case {}: Testmo answered {status}", case.key))
        }
        CaseState::Lost if entry.candidates.is_empty() => Some(format!("case {} is not found in Testmo", case.key)),
        CaseState::Lost => {
            Some(format!("case {} is not found in Testmo, but there are {:?}", case.key, entry.candidates))
        }
        CaseState::Waiting | CaseState::Claimed | CaseState::Created(_) | CaseState::Adopted(_) => None,
    })
}

/// Why a batch that reached a terminal state did not arrive whole; `None` when it did.
pub(super) fn reason_of_outcome(entry: &Entry, state: BatchState) -> Option<Reason> {
    let lost = entry.record.cases.iter().any(|case| case.state == CaseState::Lost);
    let vanished =
        entry.record.cases.iter().any(|case| case.state == CaseState::Lost && case.rejected_unclear().is_none());
    let elsewhere = entry.record.target().is_some_and(|target| target.account != entry.account());
    match state {
        BatchState::Delivered => None,
        _ if vanished && elsewhere => Some(Reason::UnclearElsewhere),
        _ if vanished => Some(Reason::UnclearInTestmo),
        _ if lost => Some(Reason::RejectedUnclear),
        BatchState::Failed => Some(common_refusal(entry).unwrap_or(Reason::AllRefused)),
        BatchState::Open | BatchState::Partial | BatchState::Discarded | BatchState::Undone => {
            Some(common_refusal(entry).unwrap_or(Reason::CaseRefused))
        }
    }
}

/// The reason that every refused case shares, if it says more than that Testmo refused it.
fn common_refusal(entry: &Entry) -> Option<Reason> {
    let mut reasons = entry.record.cases.iter().filter_map(|case| match &case.state {
        CaseState::Refused(refusal) => Some(refusal.reason),
        CaseState::Waiting | CaseState::Claimed | CaseState::Created(_) | CaseState::Adopted(_) | CaseState::Lost => {
            None
        }
    });
    let first = reasons.next().filter(|reason| *reason != Reason::CaseRefused)?;
    reasons.all(|reason| reason == first).then_some(first)
}
