//! Goes on with one replay: counts outcomes, starts what may be started, and ends or pauses it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::portion::Portion;
use super::start::{Started, start};
use crate::account::Permission;
use crate::batch::replay::{Budget, Course, PartState, course};
use crate::store::StoreError;
use crate::store::accounts::{LaneOverride, LaneSelector};
use crate::store::actor::{Actor, Face, Role};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::replays::{ItemEnd, PartProgress, ReplayState, ReplayStep, RunningReplay, WaitingItem};
use crate::worker::context::WorkerContext;

/// The most outcomes that are counted at once.
const MOST_COUNTED: u32 = 500;
/// The most entries that are started in one round: other replays have their turn in between.
const MOST_STARTED: u64 = 200;
/// After which time a round starts nothing more, for the same reason.
const LONGEST_ROUND: Duration = Duration::from_secs(2);
/// A rate-limit pause that is longer than this keeps the batches of its account from being started.
const LONG_PAUSE_MS: i64 = 300_000;
/// How soon outcomes are read again that another worker may store: nothing announces them here.
const OUTCOMES_ELSEWHERE: Duration = Duration::from_secs(1);
/// The shortest time in which batches are saved up that a rate allows.
const SHORTEST_SAVING: Duration = Duration::from_millis(250);

/// One round of a replay.
pub(super) struct Round<'a> {
    context: &'a WorkerContext,
    replay: &'a RunningReplay,
    /// Its parts that are not finished, in the order of their numbers.
    parts: Vec<PartProgress>,
    budget: Option<&'a mut Budget>,
    /// Whether the replay still is this worker's, as far as known.
    is_held: bool,
}

/// What came of starting entries in one round.
struct StartedSoFar {
    count: u64,
    passed: Vec<ItemEnd>,
    /// The parts of what was passed over, by their places in the round.
    touched: BTreeSet<usize>,
    portion: Portion,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        context: &'a WorkerContext,
        replay: &'a RunningReplay,
        parts: Vec<PartProgress>,
        budget: Option<&'a mut Budget>,
    ) -> Self {
        Self { context, replay, parts, budget, is_held: true }
    }

    /// Returns the parts that are not finished, if they are known to be as stored once the round has succeeded.
    pub(super) fn into_parts(mut self) -> Option<Vec<PartProgress>> {
        self.parts.retain(|part| part.batches > part.counted + part.passed);
        self.is_held.then_some(self.parts)
    }

    /// Goes on until nothing more can be started now; returns when to go on at the latest, if soon.
    pub(super) async fn go_on(&mut self) -> Result<Option<Duration>, StoreError> {
        self.context.store.end_lost_items(self.replay.id, MOST_COUNTED).await?;
        while self.count().await? {}
        let Some(passed) = self.start_more().await? else { return Ok(None) };
        match course(self.parts.iter().map(state)) {
            Course::IsDone => self.end(ReplayState::Done, None).await?,
            Course::Stops => self.end(ReplayState::Paused, Some(self.why())).await?,
            Course::GoesOn => {
                if passed {
                    self.context.replay_wanted.notify_one();
                }
                return Ok(self.soon());
            }
        }
        Ok(None)
    }

    /// Returns when to go on at the latest, if that is soon: outcomes are awaited, or only the rate forbids to start more.
    fn soon(&mut self) -> Option<Duration> {
        let outcomes = self.parts.iter().any(|part| part.under_way() > 0).then_some(OUTCOMES_ELSEWHERE);
        let waits = |part: &PartProgress| part.left() > 0 && part.window.allowed(part.under_way()) > 0;
        let now = self.context.store.now();
        let saving = self.budget.as_mut().filter(|_| self.parts.iter().any(waits)).and_then(|budget| {
            (budget.available(now) == 0).then(|| SHORTEST_SAVING.max(Duration::from_millis(budget.wait_ms())))
        });
        outcomes.into_iter().chain(saving).min()
    }

    /// Counts outcomes; returns whether there may be more.
    async fn count(&mut self) -> Result<bool, StoreError> {
        let ended = self.context.store.ended_items(self.replay.id, MOST_COUNTED).await?;
        if ended.is_empty() {
            return Ok(false);
        }
        let mut touched = BTreeSet::new();
        for item in &ended {
            let Ok(at) = self.parts.binary_search_by_key(&item.part, |part| part.part) else { continue };
            touched.insert(at);
            let part = &mut self.parts[at];
            part.counted += 1;
            let stop = item.outcome.is_success().and_then(|succeeded| part.window.note(succeeded));
            if let Some(stop) = stop {
                let reason = item.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                part.why = Some(format!("{}: {stop}{reason}", name_of(part)));
            }
        }
        let counted: Vec<u64> = ended.iter().map(|item| item.place).collect();
        let more = counted.len() >= usize::try_from(MOST_COUNTED).unwrap_or(usize::MAX);
        let parts = touched.into_iter().map(|at| self.parts[at].clone()).collect();
        let step = ReplayStep { parts, counted, ..self.step() };
        Ok(self.advance(step).await? && more)
    }

    /// Starts what may be started; returns whether anything was passed over, or `None` if the replay is no longer held.
    async fn start_more(&mut self) -> Result<Option<bool>, StoreError> {
        let overrides = self.context.store.lane_overrides().await?;
        let mut closed = HashMap::new();
        let (mut begun, mut next) = (0, Vec::new());
        let portion = Portion::new(self.others());
        let mut done = StartedSoFar { count: 0, passed: Vec::new(), touched: BTreeSet::new(), portion };
        let round = Instant::now();
        for at in 0..self.parts.len() {
            if round.elapsed() > LONGEST_ROUND {
                self.context.replay_wanted.notify_one();
                break;
            }
            let part = &self.parts[at];
            let now = self.context.store.now();
            let available = self.budget.as_mut().map_or(u64::MAX, |budget| budget.available(now));
            let most = part.window.allowed(part.under_way()).min(part.left()).min(available).min(MOST_STARTED - begun);
            if most == 0 {
                continue;
            }
            if let Some(account) = &part.account {
                if !closed.contains_key(account) {
                    closed.insert(account.clone(), self.is_closed(account, &overrides, now).await?);
                }
                if closed[account] {
                    continue;
                }
            }
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            let items = self.context.store.waiting_items(self.replay.id, part.part, most).await?;
            // Before they are started: one that fails without an answer may be started all the same.
            if let Some(budget) = &mut self.budget {
                budget.spend(items.len() as u64);
            }
            begun += items.len() as u64;
            next.extend(items.into_iter().map(|item| (at, item)));
            while let size = done.portion.size(self.others())
                && next.len() >= size
            {
                let some: Vec<_> = next.drain(..size).collect();
                if !self.start_some(&some, &overrides, &mut done).await? {
                    return Ok(None);
                }
            }
        }
        if !self.start_some(&next, &overrides, &mut done).await? {
            return Ok(None);
        }
        if done.count > 0 {
            self.context.shelf_wanted.notify_one();
        }
        if done.count >= MOST_STARTED {
            self.context.replay_wanted.notify_one();
        }
        if done.passed.is_empty() {
            return Ok(Some(false));
        }
        let parts = done.touched.into_iter().map(|at| self.parts[at].clone()).collect();
        let step = ReplayStep { parts, passed: done.passed, ..self.step() };
        Ok(self.advance(step).await?.then_some(true))
    }

    /// Starts entries at the same time, each of the part at a place; returns whether the replay is still held, as far as known.
    async fn start_some(
        &mut self,
        items: &[(usize, WaitingItem)],
        overrides: &[LaneOverride],
        done: &mut StartedSoFar,
    ) -> Result<bool, StoreError> {
        let began = Instant::now();
        let parts = &self.parts;
        let starting =
            items.iter().map(|(at, item)| start(self.context, self.replay, parts[*at].part, item, overrides));
        let ends = join_all(starting.collect::<Vec<_>>()).await;
        let mut is_fenced = false;
        for ((at, item), end) in items.iter().zip(ends) {
            match end? {
                Started::Yes => {
                    self.parts[*at].started += 1;
                    done.count += 1;
                }
                Started::Never(outcome, detail) => {
                    self.give_back();
                    self.parts[*at].passed += 1;
                    done.passed.push(ItemEnd { place: item.place, outcome, detail });
                    done.touched.insert(*at);
                }
                Started::NotNow => self.give_back(),
                Started::Fenced => {
                    self.give_back();
                    is_fenced = true;
                }
            }
        }
        // Each further one would be refused, too.
        if is_fenced && !self.advance(self.step()).await? {
            return Ok(false);
        }
        if let Some(pause) = done.portion.pause_after(items.len(), began.elapsed(), self.others()) {
            self.context.shelf_wanted.notify_one();
            tokio::time::sleep(pause).await;
        }
        Ok(true)
    }

    /// Returns how many batches this worker has taken that no replay has started.
    fn others(&self) -> u64 {
        self.context.others.load(Ordering::Relaxed)
    }

    /// Stores a step; returns whether the replay still was this worker's.
    async fn advance(&mut self, step: ReplayStep) -> Result<bool, StoreError> {
        self.is_held = self.context.store.advance(step).await?;
        Ok(self.is_held)
    }

    /// Returns to the budget what an entry took of it that was not started.
    fn give_back(&mut self) {
        if let Some(budget) = &mut self.budget {
            budget.give_back();
        }
    }

    /// Returns whether nothing is to be started for an account now.
    async fn is_closed(&self, account: &str, overrides: &[LaneOverride], now: i64) -> Result<bool, StoreError> {
        let is_meant = |lane: &LaneSelector| matches!(lane, LaneSelector::Account(of) if of == account);
        if overrides.iter().any(|order| order.paused && is_meant(&order.lane)) {
            return Ok(true);
        }
        let throttle = match self.context.store.throttle(account).await {
            Ok(throttle) => throttle,
            // Deliveries to this account are held, too.
            Err(StoreError::Unreadable(_)) => return Ok(true),
            Err(error) => return Err(error),
        };
        Ok(match throttle.permission(now, 1) {
            Permission::Granted { .. } => false,
            Permission::RateLimited { until } => until - now > LONG_PAUSE_MS,
            // Then a batch goes first as the probe: without one, nothing would find out that the account works again.
            Permission::Broken { until } => until > now,
        })
    }

    /// Ends or pauses the replay, and keeps why.
    async fn end(&mut self, state: ReplayState, why: Option<String>) -> Result<(), StoreError> {
        let action = if state == ReplayState::Done { AuditAction::EndReplay } else { AuditAction::PauseReplay };
        let worker = Actor::new("worker", Role::Operator, Face::Worker);
        let subject = AuditSubject::named(format_args!("replay {}", self.replay.id));
        let audit = vec![AuditEntry::new(&worker, action, subject).because(why.as_deref())];
        tracing::info!(replay = %self.replay.id, state = state.name(), why, "a replay has ended or stops");
        let step = ReplayStep { state: Some((state, why)), audit, ..self.step() };
        self.advance(step).await?;
        // It has another epoch now.
        self.is_held = false;
        Ok(())
    }

    /// Says why the parts stopped that have batches left.
    fn why(&self) -> String {
        let stopped = self.parts.iter().filter(|part| part.left() > 0);
        let mut whys: Vec<&str> = stopped.filter_map(|part| part.why.as_deref()).collect();
        let more = whys.len().saturating_sub(MOST_NAMED);
        whys.truncate(MOST_NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        whys.join("; ") + &more
    }

    fn step(&self) -> ReplayStep {
        ReplayStep {
            replay: self.replay.id,
            epoch: self.replay.epoch,
            holder: self.context.holder.clone(),
            parts: Vec::new(),
            counted: Vec::new(),
            passed: Vec::new(),
            state: None,
            audit: Vec::new(),
        }
    }
}

/// How many parts are named when a replay stops.
const MOST_NAMED: usize = 3;

fn state(part: &PartProgress) -> PartState {
    PartState { left: part.left(), under_way: part.under_way(), stopped: part.window.is_stopped() }
}

/// Names a part by its cause, and by its account or tenant.
fn name_of(part: &PartProgress) -> String {
    let cause = part.cause.map_or_else(|| "failures of unknown cause".to_owned(), |cause| cause.to_string());
    match (&part.account, &part.tenant) {
        (Some(account), _) => format!("{cause} at {account}"),
        (None, Some(tenant)) => format!("{cause} of {tenant}"),
        (None, None) => cause,
    }
}
