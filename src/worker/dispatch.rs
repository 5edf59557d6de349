//! Who works on what, and when? One task that lines batches up, starts their pushes and tells where they came from.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::courier::{Arrival, Courier};
use super::crash::{self, Point};
use super::deliver::Done;
use super::desk::{Desk, Origin};
use super::entry::{Entry, Identity};
use crate::amqp::Generation;
use crate::batch::Reason;
use crate::lane::{Lanes, Place};
use crate::store::ledger::Change;
use crate::store::shelf::Until;

/// How often batches that wait too long are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// What the dispatcher is told.
pub(super) enum News {
    /// A batch to work on, and where it came from.
    Work(Box<Entry>, Box<Origin>),
    /// A session with the broker is over.
    Lost(Generation),
}

pub(super) struct Dispatch {
    courier: Arc<Courier>,
    lanes: Lanes<Box<Entry>>,
    desk: Desk,
    pushes: JoinSet<Done>,
    /// What each task works on, as a task that panics cannot tell.
    working_on: HashMap<Id, (Identity, String)>,
    /// Shelving and acknowledging, which nobody waits for but shutdown.
    errands: TaskTracker,
    renewed: (mpsc::UnboundedSender<Renewed>, mpsc::UnboundedReceiver<Renewed>),
}

/// What became of a batch that was resolved anew.
enum Renewed {
    Work(Box<Entry>),
    Stored(Identity),
    Failed(Identity),
}

impl Dispatch {
    pub(super) fn new(courier: Arc<Courier>) -> Self {
        Self {
            lanes: Lanes::new(courier.config.push.concurrency),
            courier,
            desk: Desk::default(),
            pushes: JoinSet::new(),
            working_on: HashMap::new(),
            errands: TaskTracker::new(),
            renewed: mpsc::unbounded_channel(),
        }
    }

    /// Works until `stop`, then lets what is under way finish within the drain time and gives back the rest.
    pub(super) async fn run(mut self, mut news: mpsc::Receiver<News>, stop: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP);
        while !stop.is_cancelled() {
            self.start_pushes();
            let wake_at = self.lanes.wake_at().unwrap_or_else(|| Instant::now() + SWEEP);
            tokio::select! {
                () = stop.cancelled() => {}
                Some(news) = news.recv() => self.hear(news),
                Some(ended) = self.pushes.join_next_with_id() => self.ended(ended),
                Some(renewed) = self.renewed.1.recv() => self.renewed(renewed),
                _ = sweep.tick() => self.sweep(),
                () = sleep_until(wake_at) => {}
            }
            self.courier.metrics.batches_in_hand.set(i64::try_from(self.desk.len()).unwrap_or(i64::MAX));
        }
        self.drain(news).await;
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Work(entry, origin) => {
                if !self.desk.attach(&entry.identity, *origin) {
                    self.join(entry, Place::Back);
                }
            }
            News::Lost(generation) => {
                self.desk.lose(generation);
                let desk = &self.desk;
                for entry in self.lanes.remove(Instant::now(), |entry| !desk.is_wanted(&entry.identity)) {
                    self.desk.release(&entry.identity);
                }
            }
        }
    }

    fn join(&mut self, entry: Box<Entry>, place: Place) {
        let (account, tenant) = (entry.account().to_owned(), entry.identity.key.tenant.clone());
        let since = entry.in_hand_since;
        self.lanes.join(&account, &tenant, entry, since, place);
    }

    fn start_pushes(&mut self) {
        let now = Instant::now();
        while let Some(entry) = self.lanes.next(now) {
            let working_on = (entry.identity.clone(), entry.account().to_owned());
            let courier = self.courier.clone();
            let task = self.pushes.spawn(async move { courier.deliver(entry).await });
            self.working_on.insert(task.id(), working_on);
        }
    }

    fn ended(&mut self, ended: Result<(Id, Done), JoinError>) {
        let (task, done) = match ended {
            Ok((task, done)) => (task, done),
            Err(error) => {
                tracing::error!(%error, "a defect stopped the work on a batch; it is given back");
                (error.id(), Done::GiveBack)
            }
        };
        let Some((identity, account)) = self.working_on.remove(&task) else { return };
        self.lanes.finished(&account);
        match done {
            Done::Stored => self.finish(&identity),
            Done::GiveBack => self.give_back(&identity),
            Done::More { entry, .. } | Done::Gated { entry, .. } if !self.desk.is_wanted(&entry.identity) => {
                self.desk.release(&identity);
            }
            Done::More { entry, after: None } => self.join(entry, Place::Front),
            Done::More { entry, after: Some(pause) } => self.join(entry, Place::NotBefore(Instant::now() + pause)),
            Done::Gated { entry, wait } => {
                let now = Instant::now();
                self.lanes.close_gate(&account, now + wait);
                self.join(entry, Place::Front);
                if wait > self.courier.config.worker.longest_wait {
                    let waiting = self.lanes.drain(&account, now);
                    self.shelve(waiting);
                }
            }
            Done::Renew(entry) => self.renew(entry),
        }
    }

    /// A batch whose connection has changed is resolved and rendered anew.
    fn renew(&self, entry: Box<Entry>) {
        let (courier, renewed) = (self.courier.clone(), self.renewed.0.clone());
        self.errands.spawn(async move {
            let identity = entry.identity.clone();
            let news = match courier.arrive(entry.parcel).await {
                Ok(Arrival::Work(entry)) => Renewed::Work(entry),
                Ok(Arrival::Shelved) => Renewed::Stored(identity),
                Err(_) => Renewed::Failed(identity),
            };
            // The dispatcher is gone only when everything has been given back.
            drop(renewed.send(news));
        });
    }

    fn renewed(&mut self, renewed: Renewed) {
        match renewed {
            Renewed::Work(entry) => self.join(entry, Place::Back),
            Renewed::Stored(identity) => self.finish(&identity),
            Renewed::Failed(identity) => self.give_back(&identity),
        }
    }

    fn sweep(&mut self) {
        let overdue = self.lanes.overdue(Instant::now(), self.courier.config.worker.longest_wait);
        self.shelve(overdue);
    }

    /// Puts batches that cannot start soon onto the shelf, so that the prefetch window has room for others.
    fn shelve(&mut self, waiting: Vec<(Box<Entry>, Duration)>) {
        for (entry, gate) in waiting {
            let courier = self.courier.clone();
            let renewed = self.renewed.0.clone();
            self.errands.spawn(async move {
                let reason = if gate.is_zero() { Reason::NoRoom } else { Reason::Throttled };
                let identity = entry.identity.clone();
                let stored = courier.park(&entry, reason, None, Until::After(gate)).await;
                let news = if stored.is_ok() { Renewed::Stored(identity) } else { Renewed::Failed(identity) };
                // The dispatcher is gone only when everything has been given back.
                drop(renewed.send(news));
            });
        }
    }

    /// Tells where a batch came from that it is done with.
    fn finish(&mut self, identity: &Identity) {
        for origin in self.desk.release(identity) {
            let courier = self.courier.clone();
            self.errands.spawn(async move {
                let told = match origin {
                    Origin::Delivery { handle, .. } => handle.ack().await.map_err(|error| error.to_string()),
                    // A row that was shelved anew is of another generation and stays.
                    Origin::Lease { id, generation } => {
                        let change = Change { unshelve: Some((id.0, generation)), ..Change::default() };
                        courier.store.change(change).await.map(drop).map_err(|error| error.to_string())
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
        self.errands.spawn(give_back(self.courier.clone(), origins));
    }

    async fn drain(mut self, mut news: mpsc::Receiver<News>) {
        let deadline = Instant::now() + self.courier.config.worker.drain;
        tracing::info!(under_way = self.pushes.len(), in_hand = self.desk.len(), "stopping");
        while !self.pushes.is_empty() {
            tokio::select! {
                Some(ended) = self.pushes.join_next_with_id() => self.ended(ended),
                () = sleep_until(deadline) => {
                    tracing::warn!(under_way = self.pushes.len(), "the drain time is over; claims stay until their leases end");
                    self.pushes.shutdown().await;
                }
            }
        }
        news.close();
        while let Some(news) = news.recv().await {
            self.hear(news);
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
