//! Goes on with one replay: counts outcomes, starts what may be started, and ends or pauses it.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::start::{Started, start};
use crate::account::Permission;
use crate::batch::replay::{Budget, Course, PartState, course};
use crate::store::StoreError;
use crate::store::accounts::{LaneOverride, LaneSelector};
use crate::store::actor::{Actor, Face, Role};
use crate::store::audit::{AuditAction, AuditEntry, AuditSubject};
use crate::store::replays::{ItemEnd, PartProgress, ReplayState, ReplayStep, RunningReplay};
use crate::worker::context::WorkerContext;

/// The most outcomes that are counted at once.
const MOST_COUNTED: u32 = 500;
/// The most entries that are started in one round: other replays have their turn in between.
const MOST_STARTED: u64 = 200;
/// How many of them are started at the same time, so that their changes share transactions.
const AT_ONCE: usize = 50;
/// A rate-limit pause that is longer than this keeps the batches of its account from being started.
const LONG_PAUSE_MS: i64 = 300_000;
/// How soon outcomes are read again that another worker may store: nothing announces them here.
const OUTCOMES_ELSEWHERE: Duration = Duration::from_secs(1);
/// The shortest time in which batches are saved up that a rate allows.
const SHORTEST_SAVING: Duration = Duration::from_millis(250);

/// One round of a replay.
pub(super) struct Round<'a> {
    context: &'a WorkerContext,
    replay: RunningReplay,
    budget: Option<&'a mut Budget>,
}

impl<'a> Round<'a> {
    pub(super) fn new(context: &'a WorkerContext, replay: RunningReplay, budget: Option<&'a mut Budget>) -> Self {
        Self { context, replay, budget }
    }

    /// Goes on until nothing more can be started now; returns when to go on at the latest, if soon.
    pub(super) async fn go_on(mut self) -> Result<Option<Duration>, StoreError> {
        self.context.store.end_lost_items(self.replay.id, MOST_COUNTED).await?;
        while self.count().await? {}
        let Some(passed) = self.start_more().await? else { return Ok(None) };
        match course(self.replay.parts.iter().map(state)) {
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
        let outcomes = self.replay.parts.iter().any(|part| part.under_way() > 0).then_some(OUTCOMES_ELSEWHERE);
        let waits = |part: &PartProgress| part.left() > 0 && part.window.allowed(part.under_way()) > 0;
        let now = self.context.store.now();
        let saving = self.budget.as_mut().filter(|_| self.replay.parts.iter().any(waits)).and_then(|budget| {
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
        for item in &ended {
            let Some(part) = self.replay.parts.iter_mut().find(|part| part.part == item.part) else { continue };
            part.counted += 1;
            let stop = item.outcome.is_success().and_then(|succeeded| part.window.note(succeeded));
            if let Some(stop) = stop {
                let reason = item.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                part.why = Some(format!("{}: {stop}{reason}", name_of(part)));
            }
        }
        let counted: Vec<u64> = ended.iter().map(|item| item.place).collect();
        let more = counted.len() >= usize::try_from(MOST_COUNTED).unwrap_or(usize::MAX);
        let parts = self.replay.parts.iter().filter(|part| ended.iter().any(|item| item.part == part.part));
        let parts = parts.cloned().collect();
        let step = ReplayStep { parts, counted, ..self.step() };
        Ok(self.context.store.advance(step).await? && more)
    }

    /// Starts what may be started; returns whether anything was passed over, or `None` if the replay is no longer held.
    async fn start_more(&mut self) -> Result<Option<bool>, StoreError> {
        let overrides = self.context.store.lane_overrides().await?;
        let (mut started, mut passed, mut touched) = (0, Vec::new(), Vec::new());
        let mut closed = HashMap::new();
        for at in 0..self.replay.parts.len() {
            let part = &self.replay.parts[at];
            let now = self.context.store.now();
            let available = self.budget.as_mut().map_or(u64::MAX, |budget| budget.available(now));
            let most =
                part.window.allowed(part.under_way()).min(part.left()).min(available).min(MOST_STARTED - started);
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
            let number = part.part;
            let items = self.context.store.waiting_items(self.replay.id, number, most).await?;
            // Before they are started: one that fails without an answer may be started all the same.
            if let Some(budget) = &mut self.budget {
                budget.spend(items.len() as u64);
            }
            let starting = items
                .iter()
                .map(|item| start(self.context, &self.replay, number, item, &overrides))
                .collect::<Vec<_>>();
            let ends: Vec<_> = stream::iter(starting).buffered(AT_ONCE).collect().await;
            for (item, end) in items.iter().zip(ends) {
                match end? {
                    Started::Yes => {
                        self.replay.parts[at].started += 1;
                        started += 1;
                    }
                    Started::Never(outcome, detail) => {
                        self.give_back();
                        self.replay.parts[at].passed += 1;
                        passed.push(ItemEnd { place: item.place, outcome, detail });
                        touched.push(at);
                    }
                    Started::NotNow => self.give_back(),
                }
            }
        }
        if started > 0 {
            self.context.shelf_wanted.notify_one();
        }
        if started >= MOST_STARTED {
            self.context.replay_wanted.notify_one();
        }
        if passed.is_empty() {
            return Ok(Some(false));
        }
        touched.dedup();
        let parts = touched.into_iter().map(|at| self.replay.parts[at].clone()).collect();
        let step = ReplayStep { parts, passed, ..self.step() };
        Ok(self.context.store.advance(step).await?.then_some(true))
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
    async fn end(&self, state: ReplayState, why: Option<String>) -> Result<(), StoreError> {
        let action = if state == ReplayState::Done { AuditAction::EndReplay } else { AuditAction::PauseReplay };
        let worker = Actor::new("worker", Role::Operator, Face::Worker);
        let subject = AuditSubject::named(format_args!("replay {}", self.replay.id));
        let audit = vec![AuditEntry::new(&worker, action, subject).because(why.as_deref())];
        tracing::info!(replay = %self.replay.id, state = state.name(), why, "a replay has ended or stops");
        let step = ReplayStep { state: Some((state, why)), audit, ..self.step() };
        self.context.store.advance(step).await.map(drop)
    }

    /// Says why the parts stopped that have batches left.
    fn why(&self) -> String {
        let stopped = self.replay.parts.iter().filter(|part| part.left() > 0);
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
