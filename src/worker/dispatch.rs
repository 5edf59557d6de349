//! Who works on what, and when? One task that lines batches up, starts their pushes and tells where they came from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::courier::{Arrival, Courier};
use super::crash::{self, Point};
use super::deliver::{Done, News, Worked};
use super::desk::{Desk, Origin};
use super::entry::{Entry, Identity};
use super::lanes_view;
use crate::account::Signal;
use crate::amqp::Generation;
use crate::batch::{Reason, TenantId};
use crate::guard::{Task, guarded};
use crate::lane::{Lanes, Limits, Place};
use crate::store::StoreError;
use crate::store::accounts::{AccountObservation, LaneOverride, LaneSelector};
use crate::store::ledger::Commit;
use crate::store::shelf::{DueTenant, ShelvedUntil};

/// How often batches that wait too long are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// What is tried again within this time is looked for on the shelf every second.
const LONGEST_SOON: Duration = Duration::from_secs(10);
/// How long what a push held that was lost to a panic is kept before it is given back.
const HELD_BACK: Duration = Duration::from_secs(5);
/// How long a lane waits before it asks again for a permit that other workers have used up.
const HOLD: Duration = Duration::from_millis(50);

/// What the dispatcher is told.
pub(super) enum Told {
    /// A batch to work on, and where it came from.
    Work(Box<Entry>, Box<Origin>),
    /// A session with the broker is over.
    Lost(Generation),
    /// What people have ordered.
    Orders(Vec<LaneOverride>),
    /// Who has something on the shelf; answered with how much of it there is room for.
    Shelf(Vec<DueTenant>, oneshot::Sender<Vec<(TenantId, u32)>>),
}

/// A wish to see the lanes.
pub type View = oneshot::Sender<serde_json::Value>;

pub(super) struct Dispatch {
    courier: Arc<Courier>,
    lanes: Lanes<Box<Entry>>,
    desk: Desk,
    pushes: JoinSet<Worked>,
    /// What each task works on, as a task that panics cannot tell.
    working_on: HashMap<Id, WorkingOn>,
    /// Shelving and acknowledging, which nobody waits for but shutdown.
    errands: TaskTracker,
    renewed: (mpsc::UnboundedSender<Renewed>, mpsc::UnboundedReceiver<Renewed>),
    /// Why the gate of an account is closed.
    closed_for: BTreeMap<Arc<str>, Reason>,
    /// Tenants with batches on the shelf that only wait for room: newer ones queue behind these.
    skimmed: BTreeSet<TenantId>,
    /// Those of them that the store may not have told of yet.
    just_skimmed: BTreeSet<TenantId>,
    /// Until when something is due on the shelf that is soon tried again.
    back_soon: Option<Instant>,
    orders: Vec<LaneOverride>,
}

struct WorkingOn {
    account: Arc<str>,
    tenant: TenantId,
    batches: Vec<Identity>,
}

/// Where a batch that is done with is kept.
#[derive(Clone, Copy)]
enum Kept {
    Nowhere,
    OnShelf,
}

/// What became of a batch that was resolved anew.
enum Renewed {
    Work(Box<Entry>),
    Shelved(Identity),
    Failed(Identity),
    /// It panicked, and is held back.
    Done(Done),
}

impl Dispatch {
    pub(super) fn new(courier: Arc<Courier>) -> Self {
        let (push, worker) = (&courier.config.push, &courier.config.worker);
        let limits = Limits {
            max_cases: push.max_cases,
            max_bytes: push.max_bytes,
            pack: push.pack,
            concurrency: push.concurrency,
            in_flight: push.in_flight,
            pausing: usize::from(courier.config.amqp.prefetch / 2).max(1),
            memory: worker.memory,
        };
        Self {
            lanes: Lanes::new(limits),
            courier,
            desk: Desk::default(),
            pushes: JoinSet::new(),
            working_on: HashMap::new(),
            errands: TaskTracker::new(),
            renewed: mpsc::unbounded_channel(),
            closed_for: BTreeMap::new(),
            skimmed: BTreeSet::new(),
            just_skimmed: BTreeSet::new(),
            back_soon: None,
            orders: Vec::new(),
        }
    }

    /// Works until `stop`, then lets what is under way finish within the drain time and gives back the rest.
    pub(super) async fn run(
        mut self,
        mut told: mpsc::Receiver<Told>,
        mut views: mpsc::Receiver<View>,
        stop: CancellationToken,
    ) {
        let mut sweep = tokio::time::interval(SWEEP);
        while !stop.is_cancelled() {
            self.start_pushes();
            let wake_at = self.lanes.wake_at().unwrap_or_else(|| Instant::now() + SWEEP);
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                _ = sweep.tick() => self.sweep(),
                Some(view) = views.recv() => self.show(view),
                Some(ended) = self.pushes.join_next_with_id() => self.ended(ended),
                Some(renewed) = self.renewed.1.recv() => self.renewed(renewed),
                Some(told) = told.recv() => self.hear(told),
                () = sleep_until(wake_at) => {}
            }
            self.courier.metrics.batches_in_hand.set(i64::try_from(self.desk.len()).unwrap_or(i64::MAX));
        }
        self.drain(told).await;
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Work(entry, origin) => self.line_up(entry, *origin),
            Told::Lost(generation) => {
                self.desk.lose(generation);
                let desk = &self.desk;
                for (entry, _) in self.lanes.remove(Instant::now(), |entry| !desk.is_wanted(&entry.identity)) {
                    self.desk.release(&entry.identity);
                }
            }
            Told::Orders(orders) => self.obey(orders),
            Told::Shelf(due, room) => {
                let skimmed = due.iter().filter(|due| due.is_shed).map(|due| due.tenant.clone());
                self.skimmed = skimmed.chain(std::mem::take(&mut self.just_skimmed)).collect();
                // Whoever asked is gone only when the worker stops.
                drop(room.send(self.room_for(&due)));
            }
        }
    }

    fn line_up(&mut self, entry: Box<Entry>, origin: Origin) {
        let from_broker = matches!(origin, Origin::Delivery { .. });
        if self.desk.attach(&entry.identity, origin) {
            return;
        }
        let tenant = &entry.identity.key.tenant;
        if self.is_paused(&entry) {
            self.shelve(entry, Reason::Paused, PAUSED);
        } else if from_broker && self.skimmed.contains(tenant) {
            // What came before it is on the shelf, so it queues there.
            self.just_skimmed.insert(tenant.clone());
            self.shelve(entry, Reason::NoRoom, Duration::ZERO);
        } else {
            let account: Arc<str> = entry.account().into();
            self.join(entry, Place::Back);
            self.skim(&account);
        }
    }

    fn room_for(&self, due: &[DueTenant]) -> Vec<(TenantId, u32)> {
        let now = Instant::now();
        let room = |due: &DueTenant| {
            let room = self.lanes.room(due.account.as_deref().unwrap_or_default(), &due.tenant, now);
            (due.tenant.clone(), u32::try_from(room).unwrap_or(u32::MAX))
        };
        due.iter().filter(|due| due.is_due).map(room).filter(|(_, room)| *room > 0).collect()
    }

    fn obey(&mut self, orders: Vec<LaneOverride>) {
        self.orders = orders;
        if !self.orders.iter().any(|order| order.paused) {
            return;
        }
        let orders = &self.orders;
        for (entry, _) in self.lanes.remove(Instant::now(), |entry| is_paused(orders, entry)) {
            self.shelve(entry, Reason::Paused, PAUSED);
        }
    }

    fn is_paused(&self, entry: &Entry) -> bool {
        is_paused(&self.orders, entry)
    }

    fn join(&mut self, entry: Box<Entry>, place: Place) {
        self.lanes.join(entry.ticket(), entry, place);
    }

    fn start_pushes(&mut self) {
        let now = Instant::now();
        while let Some(pack) = self.lanes.next(now) {
            let batches = pack.parts.iter().map(|(entry, _)| entry.identity.clone()).collect();
            let working_on = WorkingOn { account: pack.account.clone(), tenant: pack.tenant.clone(), batches };
            let courier = self.courier.clone();
            let task = self.pushes.spawn(async move { courier.deliver(pack).await });
            self.working_on.insert(task.id(), working_on);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Worked), JoinError>) {
        let (task, worked) = match ended {
            Ok((task, worked)) => (task, Some(worked)),
            Err(error) => {
                let batches = self.working_on.get(&error.id()).map(|on| names(&on.batches)).unwrap_or_default();
                self.courier.metrics.panics.with_label_values(&[Task::Dispatcher.name()]).inc();
                tracing::error!(%error, batches, "a defect stopped the work on some batches; they are given back");
                (error.id(), None)
            }
        };
        let Some(WorkingOn { account, tenant, batches }) = self.working_on.remove(&task) else { return };
        let now = Instant::now();
        let Some(Worked { done, report, news }) = worked else {
            self.lanes.finished(&account, &tenant, &Default::default(), now);
            batches.into_iter().for_each(|identity| self.give_back_later(identity));
            return;
        };
        self.learn(&account, news, now);
        let goes_on = |done: &Done| matches!(done, Done::More { after: None, .. });
        let (going_on, others): (Vec<Done>, Vec<Done>) = done.into_iter().partition(goes_on);
        // Those that go on join the front: the last one first, so that all keep their order.
        for done in others.into_iter().chain(going_on.into_iter().rev()) {
            self.done(done, now);
        }
        if self.lanes.finished(&account, &tenant, &report, now) {
            self.slow_down(&account);
        }
        self.skim(&account);
        if self.skimmed.contains(&tenant) && self.lanes.room(&account, &tenant, now) > 0 {
            self.courier.shelf_wanted.notify_one();
        }
    }

    fn done(&mut self, done: Done, now: Instant) {
        match done {
            Done::Settled(identity) => self.finish(&identity, Kept::Nowhere),
            Done::Shelved(identity) => self.finish(&identity, Kept::OnShelf),
            Done::GiveBack(identity) => self.give_back(&identity),
            Done::More { entry, .. } if !self.desk.is_wanted(&entry.identity) => {
                self.desk.release(&entry.identity);
            }
            Done::More { entry, after: None } => self.join(entry, Place::Front),
            Done::More { entry, after: Some(pause) } => self.join(entry, Place::NotBefore(now + pause)),
            Done::Renew(entry) => self.renew(entry),
        }
    }

    fn learn(&mut self, account: &Arc<str>, news: Vec<News>, now: Instant) {
        for news in news {
            match news {
                News::Limit(limit) => self.lanes.set_limit(account, limit),
                News::Full(limit) => {
                    self.lanes.set_limit(account, limit);
                    self.lanes.hold(account, now + HOLD);
                }
                News::Closed(wait, reason) => {
                    self.lanes.close_gate(account, now + wait, now);
                    self.closed_for.insert(account.clone(), reason);
                }
            }
        }
    }

    /// Has an account's limit lowered, as its answers take longer and longer.
    fn slow_down(&self, account: &Arc<str>) {
        tracing::info!(%account, "answers have become slow; fewer requests are sent at once");
        let ceiling = self.courier.config.push.account_limit;
        let observation = Some(AccountObservation { account: account.to_string(), signal: Signal::Slow, ceiling });
        let courier = self.courier.clone();
        self.errand(format!("limit of {account}"), async move {
            if let Err(error) = courier.store.commit(Commit { observation, ..Commit::default() }.into()).await {
                tracing::debug!(%error, "a limit could not be lowered");
            }
        });
    }

    /// Puts what cannot be sent soon onto the shelf, so that the prefetch window has room for others.
    fn skim(&mut self, account: &Arc<str>) {
        for (entry, wait) in self.lanes.surplus(account, Instant::now()) {
            let reason = match self.closed_for.get(account) {
                Some(reason) if !wait.is_zero() => *reason,
                Some(_) | None => Reason::NoRoom,
            };
            if entry.parcel.failing_since.is_some() {
                // Nothing new has to queue behind what is tried again.
                self.back_soon = self.back_soon.max(Some(Instant::now() + wait.min(LONGEST_SOON)));
            } else {
                let tenant = entry.identity.key.tenant.clone();
                self.skimmed.insert(tenant.clone());
                self.just_skimmed.insert(tenant);
            }
            self.shelve(entry, reason, wait);
        }
    }

    fn show(&self, view: View) {
        // Whoever wanted to see it may have gone.
        drop(view.send(lanes_view::of(&self.lanes.view(Instant::now()), &self.courier.backlog())));
    }

    /// A batch whose connection has changed is resolved and rendered anew.
    fn renew(&self, entry: Box<Entry>) {
        let (courier, renewed) = (self.courier.clone(), self.renewed.0.clone());
        self.errands.spawn(async move {
            let identity = entry.identity.clone();
            let arriving = courier.arrive(entry.parcel.clone());
            let news = match courier.unit(Task::Dispatcher, &identity, arriving).await {
                Ok(Arrival::Work(renewed)) => Renewed::Work(Box::new(Entry { panics: entry.panics, ..*renewed })),
                Ok(Arrival::Shelved) => Renewed::Shelved(identity),
                Err(StoreError::Panicked(panic)) => Renewed::Done(courier.hold_back(entry, &panic).await),
                Err(StoreError::Unreadable(row)) => {
                    match courier.unit(Task::Dispatcher, &identity, courier.park_held(&entry, &row)).await {
                        Ok(()) => Renewed::Shelved(identity),
                        Err(_) => Renewed::Failed(identity),
                    }
                }
                Err(_) => Renewed::Failed(identity),
            };
            // The dispatcher is gone only when everything has been given back.
            drop(renewed.send(news));
        });
    }

    fn renewed(&mut self, renewed: Renewed) {
        match renewed {
            Renewed::Work(entry) => self.join(entry, Place::Back),
            Renewed::Shelved(identity) => self.finish(&identity, Kept::OnShelf),
            Renewed::Failed(identity) => self.give_back(&identity),
            Renewed::Done(done) => self.done(done, Instant::now()),
        }
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        if let Some(until) = self.back_soon {
            self.courier.shelf_wanted.notify_one();
            // What was shelved a moment ago is due a moment later.
            self.back_soon = self.back_soon.filter(|_| now < until + SWEEP);
        }
        let overdue = self.lanes.overdue(now, self.courier.config.worker.longest_wait);
        for (entry, gate) in overdue {
            let reason = if gate.is_zero() { Reason::NoRoom } else { Reason::Throttled };
            self.shelve(entry, reason, gate);
        }
        self.lanes.forget_idle(now);
        for account in self.lanes.accounts() {
            self.skim(&account);
        }
        let lanes = &self.lanes;
        self.closed_for.retain(|account, _| lanes.has(account));
        lanes_view::measure(&self.lanes.view(now), &self.courier.backlog(), &self.courier.metrics);
        self.courier.metrics.waiting_bytes.set(i64::try_from(self.lanes.bytes()).unwrap_or(i64::MAX));
    }

    /// When the turn of a batch is expected to come that goes to the shelf, behind what waits there already.
    fn expected(&self, entry: &Entry, wait: Duration) -> Duration {
        let tenant = &entry.identity.key.tenant;
        let on_shelf = self.courier.one_more_waits(tenant);
        let lane = self.lanes.view_for(entry.account(), tenant, Instant::now());
        lane.map_or(wait, |lane| lanes_view::drain(&lane, tenant, on_shelf).max(wait))
    }

    fn shelve(&self, entry: Box<Entry>, reason: Reason, wait: Duration) {
        let expected = if reason == Reason::Paused { wait } else { self.expected(&entry, wait) };
        let courier = self.courier.clone();
        let renewed = self.renewed.0.clone();
        self.errands.spawn(async move {
            let identity = entry.identity.clone();
            let (until, expected) = (ShelvedUntil::After(wait), ShelvedUntil::After(expected));
            let parking = courier.park_expecting(&entry, reason, None, until, expected);
            let news = match courier.unit(Task::Dispatcher, &identity, parking).await {
                Ok(()) => Renewed::Shelved(identity),
                Err(StoreError::Panicked(panic)) => Renewed::Done(courier.hold_back(entry, &panic).await),
                Err(StoreError::Unreadable(row)) => {
                    match courier.unit(Task::Dispatcher, &identity, courier.park_held(&entry, &row)).await {
                        Ok(()) => Renewed::Shelved(identity),
                        Err(_) => Renewed::Failed(identity),
                    }
                }
                Err(_) => Renewed::Failed(identity),
            };
            // The dispatcher is gone only when everything has been given back.
            drop(renewed.send(news));
        });
    }

    /// Tells where a batch came from that it is done with.
    ///
    /// A lease can have been taken after the batch was shelved and before that was known here. Its row is then the very
    /// one that keeps the batch, so a lease of what was shelved is given back, and the row comes off only with what was
    /// settled.
    fn finish(&mut self, identity: &Identity, kept: Kept) {
        for origin in self.desk.release(identity) {
            let courier = self.courier.clone();
            self.errand(format!("end of {identity}"), async move {
                let told = match (origin, kept) {
                    (Origin::Delivery { handle, .. }, _) => handle.ack().await.map_err(|error| error.to_string()),
                    // A row that was shelved anew is of another generation and stays.
                    (Origin::Lease { id, generation }, Kept::Nowhere) => {
                        let change = Commit { unshelve: Some((id.0, generation)), ..Commit::default() };
                        courier.store.commit(change.into()).await.map(drop).map_err(|error| error.to_string())
                    }
                    (Origin::Lease { id, generation }, Kept::OnShelf) => {
                        courier.store.release(&[(id, generation)]).await.map_err(|error| error.to_string())
                    }
                };
                crash::after(Point::Ack);
                if let Err(error) = told {
                    tracing::debug!(error, "a finished batch could not be told so; it comes again and is known");
                }
            });
        }
    }

    fn give_back(&mut self, identity: &Identity) {
        let origins = self.desk.release(identity);
        self.errand(format!("giving back {identity}"), give_back(self.courier.clone(), origins));
    }

    /// Gives a batch back after a pause, so that it does not come again and again at once.
    fn give_back_later(&self, identity: Identity) {
        let renewed = self.renewed.0.clone();
        self.errands.spawn(async move {
            tokio::time::sleep(HELD_BACK).await;
            // The dispatcher is gone only when everything has been given back.
            drop(renewed.send(Renewed::Failed(identity)));
        });
    }

    /// Does something on the side, where a panic leaves a delivery or a lease to come again later.
    fn errand(&self, what: String, errand: impl Future<Output = ()> + Send + 'static) {
        let courier = self.courier.clone();
        self.errands.spawn(async move {
            if let Err(panic) = guarded(errand).await {
                courier.panicked(Task::Dispatcher, &what, panic);
            }
        });
    }

    async fn drain(mut self, mut told: mpsc::Receiver<Told>) {
        let deadline = Instant::now() + self.courier.config.worker.drain;
        tracing::info!(under_way = self.pushes.len(), in_hand = self.desk.len(), "stopping");
        while !self.pushes.is_empty() {
            tokio::select! {
                biased;
                Some(ended) = self.pushes.join_next_with_id() => self.ended(ended),
                () = sleep_until(deadline) => {
                    tracing::warn!(under_way = self.pushes.len(), "the drain time is over; claims stay until their leases end");
                    self.pushes.shutdown().await;
                }
            }
        }
        told.close();
        while let Some(told) = told.recv().await {
            self.hear(told);
        }
        self.errands.close();
        self.errands.wait().await;
        while let Ok(renewed) = self.renewed.1.try_recv() {
            self.renewed(renewed);
        }
        let origins = self.desk.clear();
        give_back(self.courier.clone(), origins).await;
        self.errands.wait().await;
    }
}

fn names(batches: &[Identity]) -> String {
    batches.iter().map(|identity| identity.key.to_string()).collect::<Vec<_>>().join(", ")
}

/// How long what a person has paused stays on the shelf, unless the person lets it go on.
pub(super) const PAUSED: Duration = Duration::from_secs(24 * 3_600);

fn is_paused(orders: &[LaneOverride], entry: &Entry) -> bool {
    orders.iter().filter(|order| order.paused).any(|order| match &order.lane {
        LaneSelector::Tenant(tenant) => *tenant == entry.identity.key.tenant,
        LaneSelector::Account(account) => account == entry.account(),
    })
}

/// Gives deliveries back to the broker, and leases back to the shelf.
async fn give_back(courier: Arc<Courier>, origins: Vec<Origin>) {
    let mut leases = Vec::new();
    for origin in origins {
        match origin {
            Origin::Delivery { handle, .. } => {
                if let Err(error) = handle.give_back().await {
                    tracing::debug!(%error, "a batch could not be given back; it comes again by itself");
                }
            }
            Origin::Lease { id, generation } => leases.push((id, generation)),
        }
    }
    if let Err(error) = courier.store.release(&leases).await {
        tracing::debug!(%error, "leases could not be given back; they run out");
    }
}
