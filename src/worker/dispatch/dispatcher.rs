//! Queues batches in lanes, starts work on them, and carries out the disposition of each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use super::background::{Background, give_back};
use super::closed_accounts::ClosedAccounts;
use super::command::{DispatcherCommand, View};
use super::in_flight::{AckTarget, InFlight};
use super::limits::limits;
use super::paused::is_paused;
use super::report;
use super::set_aside::cause_of;
use super::shed::Shed;
use super::work_tasks::{Ended, WorkTasks};
use crate::account::Signal;
use crate::batch::{Reason, TenantId};
use crate::lane::{Lanes, QueuePosition};
use crate::store::accounts::{AccountObservation, LaneOverride};
use crate::store::ledger::Commit;
use crate::store::shelf::DueTenant;
use crate::worker::context::WorkerContext;
use crate::worker::delivery::{Delivery, PAUSED};
use crate::worker::model::{ActiveBatch, Disposition, Dispositions, LaneUpdate, WorkKey};

/// How often the dispatcher searches for batches that wait too long.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a lane waits before it asks again for a permit that other workers have used up.
const HOLD: Duration = Duration::from_millis(50);
/// How long after the cut batches are still given back; what is not given back then comes again automatically.
const GIVING_BACK: Duration = Duration::from_secs(1);

/// The one task that owns the lanes of a worker.
pub(in crate::worker) struct Dispatcher {
    context: Arc<WorkerContext>,
    lanes: Lanes<Box<ActiveBatch>>,
    in_flight: InFlight,
    work: WorkTasks,
    background: Background,
    /// Commands from work in the background.
    commands: mpsc::UnboundedReceiver<DispatcherCommand>,
    closed: ClosedAccounts,
    shed: Shed,
    overrides: Vec<LaneOverride>,
}

impl Dispatcher {
    pub(in crate::worker) fn new(delivery: Arc<Delivery>) -> Self {
        let context = delivery.context.clone();
        let (sender, commands) = mpsc::unbounded_channel();
        Self {
            lanes: Lanes::new(limits(&context)),
            background: Background::new(context.clone(), sender),
            context,
            in_flight: InFlight::default(),
            work: WorkTasks::new(delivery),
            commands,
            closed: ClosedAccounts::default(),
            shed: Shed::default(),
            overrides: Vec::new(),
        }
    }

    /// Works until the worker drains, then lets what is under way finish until the cut and gives back the rest.
    pub(in crate::worker) async fn run(
        mut self,
        mut commands: mpsc::Receiver<DispatcherCommand>,
        mut views: mpsc::Receiver<View>,
    ) {
        let (stop, mut live) = (self.context.stop.draining().clone(), self.context.live.clone());
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            self.start_work();
            // What has just begun is counted before anything is waited for.
            self.count();
            let wake_at = self.lanes.wake_at().unwrap_or_else(|| Instant::now() + SWEEP);
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                _ = sweep.tick() => self.sweep(),
                () = live.changed() => self.lanes.keep_to(limits(&self.context)),
                Some(view) = views.recv() => self.show(view),
                Some(ended) = self.work.next_end() => self.ended(ended),
                Some(command) = self.commands.recv() => self.handle(command),
                Some(command) = commands.recv() => self.handle(command),
                () = sleep_until(wake_at) => {}
            }
        }
        self.drain(commands).await;
    }

    /// Counts what is in hand and under way.
    fn count(&self) {
        let batches = self.in_flight.len();
        self.context.metrics.batches_in_flight.set(i64::try_from(batches).unwrap_or(i64::MAX));
        self.context.workload.set_work(batches, self.work.len());
    }

    fn handle(&mut self, command: DispatcherCommand) {
        match command {
            DispatcherCommand::Work(batch, target) => self.enqueue(batch, *target),
            DispatcherCommand::Lost(generation) => {
                self.in_flight.lose(generation);
                let in_flight = &self.in_flight;
                for (batch, _) in self.lanes.remove(Instant::now(), |batch| !in_flight.is_wanted(&batch.key)) {
                    self.in_flight.release(&batch.key);
                }
            }
            DispatcherCommand::Override(overrides) => self.apply_overrides(overrides),
            DispatcherCommand::Reopen(accounts, as_of) => {
                for account in accounts.iter().filter(|account| self.lanes.reopen(account, as_of)) {
                    tracing::info!(%account, "the account is open again");
                    self.closed.reopen(account, Instant::now());
                }
            }
            DispatcherCommand::RoomFor(due, room) => {
                self.shed.refresh(&due);
                // The requester is gone only when the worker stops.
                drop(room.send(self.room_for(&due)));
            }
            DispatcherCommand::Dispose(batch, disposition) => self.dispose(batch, disposition),
            DispatcherCommand::GiveBack(key) => self.give_back(&key),
        }
    }

    fn enqueue(&mut self, batch: Box<ActiveBatch>, target: AckTarget) {
        let from_broker = matches!(target, AckTarget::Delivery { .. });
        if self.in_flight.attach(&batch.key, target) {
            return;
        }
        if batch.message.replay.is_none() {
            self.context.others.fetch_add(1, Ordering::Relaxed);
        }
        let (tenant, is_suspect) = (&batch.key.batch.tenant, batch.message.suspect);
        if is_paused(&self.overrides, &batch) {
            self.shelve_paused(batch);
        } else if from_broker && self.shed.holds(tenant) {
            // Older batches of the tenant are on the shelf, so this one queues there.
            self.shed.joined(tenant);
            self.set_aside(batch, Duration::ZERO);
        } else {
            let account: Arc<str> = batch.account().into();
            // A suspect keeps all others waiting, so it is next in its tenant's queue.
            self.join(batch, if is_suspect { QueuePosition::Front } else { QueuePosition::Back });
            self.shed_overflow(&account);
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

    fn apply_overrides(&mut self, overrides: Vec<LaneOverride>) {
        self.overrides = overrides;
        if !self.overrides.iter().any(|lane| lane.paused) {
            return;
        }
        let overrides = &self.overrides;
        for (batch, _) in self.lanes.remove(Instant::now(), |batch| is_paused(overrides, batch)) {
            self.shelve_paused(batch);
        }
    }

    fn join(&mut self, mut batch: Box<ActiveBatch>, position: QueuePosition) {
        batch.waiting_since = Instant::now();
        self.lanes.join(batch.ticket(), batch, position);
    }

    fn start_work(&mut self) {
        let now = Instant::now();
        while let Some(mut pack) = self.lanes.next(now) {
            pack.parts.iter_mut().for_each(|(batch, _)| self.closed.note_wait(batch));
            self.work.start(pack);
        }
    }

    fn ended(&mut self, Ended { account, tenant, batches, end }: Ended) {
        let now = Instant::now();
        let Some((dispositions, feedback)) = end else {
            self.lanes.finished(&account, &tenant, &Default::default(), now);
            batches.into_iter().for_each(|key| self.background.give_back_later(key));
            return;
        };
        let report = feedback.report();
        self.learn(&account, feedback.updates, now);
        let (going_on, others): (Dispositions, Dispositions) =
            dispositions.into_iter().partition(|(_, end)| *end == Disposition::Enqueue(QueuePosition::Front));
        // Batches that go on join the front, the last one first, so that all keep their order.
        for (batch, disposition) in others.into_iter().chain(going_on.into_iter().rev()) {
            self.dispose(batch, disposition);
        }
        if self.lanes.finished(&account, &tenant, &report, now) {
            self.slow_down(&account);
        }
        self.shed_overflow(&account);
        if self.shed.may_be_due(&tenant) && self.lanes.room(&account, &tenant, now) > 0 {
            self.context.shelf_wanted.notify_one();
        }
    }

    /// Carries out the disposition of a batch.
    fn dispose(&mut self, batch: Box<ActiveBatch>, disposition: Disposition) {
        let (key, now) = (&batch.key, Instant::now());
        if batch.trial().is_some_and(|trial| trial.was_long(now)) {
            self.context.slow_trials.note(batch.account(), now);
        }
        match disposition {
            Disposition::Finished => self.background.acknowledge(key, self.in_flight.release(key), false),
            Disposition::Shelved => self.background.acknowledge(key, self.in_flight.release(key), true),
            Disposition::GiveBack => self.give_back(key),
            Disposition::Enqueue(_) if !self.in_flight.is_wanted(key) => drop(self.in_flight.release(key)),
            Disposition::Enqueue(position) => {
                let is_suspect = batch.message.suspect;
                self.join(batch, position);
                if is_suspect {
                    self.end_trials(now);
                }
            }
            Disposition::ResolveAgain => self.background.resolve_again(batch),
        }
    }

    /// Returns suspects to the shelf for which nothing is done at present, if their trials have taken too long: others wait.
    fn end_trials(&mut self, now: Instant) {
        let over = self.lanes.remove(now, |batch| batch.trial().is_some_and(|trial| trial.is_over(now)));
        for (batch, wait) in over {
            self.context.slow_trials.note(batch.account(), now);
            if batch.tries == 0 {
                self.background.postpone(&batch.key, self.in_flight.release(&batch.key));
            } else {
                // It has been tried, and is retried like other batches that failed.
                self.set_aside(batch, wait);
            }
        }
    }

    fn give_back(&mut self, key: &WorkKey) {
        self.background.give_back(key, self.in_flight.release(key));
    }

    fn learn(&mut self, account: &Arc<str>, updates: Vec<LaneUpdate>, now: Instant) {
        for update in updates {
            match update {
                LaneUpdate::Limit(limit) => self.lanes.set_limit(account, limit),
                LaneUpdate::Full(limit) => {
                    self.lanes.set_limit(account, limit);
                    self.lanes.hold(account, now + HOLD);
                }
                LaneUpdate::Closed(wait, reason) => {
                    self.lanes.back_off(account, now + wait, now);
                    self.closed.close(account, reason, now + wait);
                }
            }
        }
    }

    /// Lowers the limit of an account whose answers take longer and longer.
    fn slow_down(&self, account: &Arc<str>) {
        tracing::info!(%account, "responses have become slow; the number of concurrent requests is lowered");
        let ceiling = self.context.live.account_concurrency();
        let observation = Some(AccountObservation { account: account.to_string(), signal: Signal::Slow, ceiling });
        let context = self.context.clone();
        self.background.run(format!("limit of {account}"), async move {
            if let Err(error) = context.store.commit(Commit { observation, ..Commit::default() }.into()).await {
                tracing::debug!(%error, "the concurrency limit of an account could not be lowered");
            }
        });
    }

    /// Shelves batches that cannot be sent soon, so that the prefetch window has room for others.
    fn shed_overflow(&mut self, account: &Arc<str>) {
        for (batch, wait) in self.lanes.surplus(account, Instant::now()) {
            if batch.message.failing_since.is_some() {
                self.shed.add_retry(wait);
            } else {
                self.shed.add(&batch.key.batch.tenant);
            }
            self.set_aside(batch, wait);
        }
    }

    fn show(&self, view: View) {
        // The requester may have gone.
        drop(view.send(report::of(&self.lanes.view(Instant::now()), &self.context.backlogs.current())));
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        if self.shed.is_retry_soon(now, SWEEP) {
            self.context.shelf_wanted.notify_one();
        }
        let overdue = self.lanes.overdue(now, self.context.config.worker.max_queue_time);
        for (batch, pause) in overdue {
            self.set_aside(batch, pause);
        }
        self.end_trials(now);
        self.background.find_open(self.lanes.backing_off(now));
        self.lanes.forget_idle(now);
        for account in self.lanes.accounts() {
            self.shed_overflow(&account);
        }
        let lanes = &self.lanes;
        self.closed.retain(|account| lanes.has(account));
        let metrics = &self.context.metrics;
        let most_requests = self.context.config.requests.worker_concurrency;
        report::measure(&self.lanes.view(now), &self.context.backlogs.current(), most_requests, metrics);
        metrics.queued_bytes.set(i64::try_from(self.lanes.bytes()).unwrap_or(i64::MAX));
    }

    /// Returns after how long the turn of a batch is expected that goes to the shelf, behind what waits there already.
    fn expected(&self, batch: &ActiveBatch, wait: Duration) -> Duration {
        let tenant = &batch.key.batch.tenant;
        let on_shelf = self.context.backlogs.add(tenant);
        let lane = self.lanes.view_for(batch.account(), tenant, Instant::now());
        lane.map_or(wait, |lane| report::drain(&lane, tenant, on_shelf).max(wait))
    }

    /// Shelves a batch that cannot be sent now.
    fn set_aside(&self, mut batch: Box<ActiveBatch>, wait: Duration) {
        let (account, now) = (batch.account(), self.context.store.now());
        let closed_for = self.closed.reason(account);
        let cause = cause_of(&batch, closed_for, self.context.troubles.of(account, now), wait);
        batch.message.failing_since = cause.failing_since;
        let expected = self.expected(&batch, wait);
        self.background.shelve(batch, cause.reason, cause.detail, wait, expected);
    }

    /// Shelves a batch that a person has paused.
    fn shelve_paused(&self, batch: Box<ActiveBatch>) {
        self.background.shelve(batch, Reason::Paused, None, PAUSED, PAUSED);
    }

    async fn drain(mut self, mut commands: mpsc::Receiver<DispatcherCommand>) {
        let stop = self.context.stop.clone();
        while !self.work.is_empty() {
            self.count();
            tokio::select! {
                biased;
                Some(ended) = self.work.next_end() => self.ended(ended),
                () = stop.is_cut() => {
                    tracing::warn!(requests = self.work.len(), "the drain timeout is over; claims stay until their leases expire");
                    stop.note_cut("requests to Testmo");
                    self.work.shutdown().await;
                }
            }
        }
        commands.close();
        while let Some(command) = commands.recv().await {
            self.handle(command);
        }
        self.background.finished().await;
        while let Ok(command) = self.commands.try_recv() {
            self.handle(command);
        }
        self.count();
        let targets = self.in_flight.clear();
        tokio::select! {
            biased;
            () = give_back(self.context.clone(), targets) => {}
            () = stop.is_cut_for(GIVING_BACK) => stop.note_cut("batches that were given back"),
        }
        self.background.finished().await;
    }
}
