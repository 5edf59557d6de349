//! Lets people plan, start and change replays, and replay, correct, discard and restore single entries, while everything else
//! fails.

mod entries;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use testmo_courier::app::actor::{Actor, Face, Role};
use testmo_courier::app::replays::{ReplayAction, ReplayError, ReplayId, ReplayRequest, act, plan};
use testmo_courier::app::shelf::{EntryName, Selection, ShelfFilter, ShelfState};
use testmo_courier::store::shelf::ShelfId;
use tokio::time::sleep;

use crate::batches::BatchPlan;
use crate::fuse::Fuse;
use crate::plan::{Action, Plan, millis, ms};
use crate::stage::Stage;
use crate::store::StoreOf;

/// How often a person tries again what the store did not answer.
const TRIES: u32 = 4;
/// How long a person waits in between.
const PAUSE: Duration = Duration::from_secs(1);
/// The number of the first person, above those of all workers.
pub(crate) const FIRST_PERSON: u64 = 9_001;

/// What a person does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Plans a replay, and starts it a while later, or never.
    Replay { selected: Selected, limits: Limits, starts_after: Option<Duration> },
    /// Starts, pauses, resumes or cancels one of the replays that there are.
    Change { which: usize, action: ReplayAction },
    /// Replays one of the entries alone.
    ReplayEntry { which: usize },
    /// Corrects one of the entries that Testmo refuses, and replays it alone.
    Correct { which: usize },
    /// Discards one of the entries.
    Discard { which: usize },
    /// Restores one of the discarded entries.
    Restore { which: usize },
}

/// The entries of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    All,
    Dead,
    Tenant(usize),
    One(usize),
}

/// How a replay is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) per_minute: Option<u32>,
    pub(crate) most: Option<u32>,
    pub(crate) unchanged_too: bool,
}

/// Draws what two people do in a run until all faults end; nothing in some runs. The draws are apart from all others.
pub(crate) fn draw(seed: u64, healed: Duration, tenants: usize) -> Vec<(Duration, Action)> {
    let mut rng = Rng::with_seed(seed ^ 0x009e_091e);
    if rng.u8(..5) < 2 {
        return Vec::new();
    }
    let acts = (0..rng.usize(2..12)).map(|_| {
        // Some of it happens when little is left to do, so that much of what failed is dead by then.
        let at =
            if rng.bool() { ms(&mut rng, 2_000..millis(healed)) } else { ms(&mut rng, 10_000..60_000).min(healed) };
        let act = match rng.u8(..16) {
            0..=4 => Act::Replay {
                selected: selected(&mut rng, tenants),
                limits: Limits {
                    per_minute: rng.bool().then(|| rng.u32(10..600)),
                    most: (rng.u8(..4) == 0).then(|| rng.u32(1..6)),
                    unchanged_too: rng.bool(),
                },
                starts_after: (rng.u8(..8) > 0).then(|| ms(&mut rng, 0..8_000)),
            },
            5..=7 => {
                let actions = [ReplayAction::Start, ReplayAction::Pause, ReplayAction::Resume, ReplayAction::Cancel];
                Act::Change { which: rng.usize(..8), action: actions[rng.usize(..4)] }
            }
            8..=9 => Act::ReplayEntry { which: rng.usize(..20) },
            10..=11 => Act::Discard { which: rng.usize(..20) },
            12..=13 => Act::Correct { which: rng.usize(..20) },
            _ => Act::Restore { which: rng.usize(..20) },
        };
        (at, Action::Person { person: FIRST_PERSON + rng.u64(..2), act })
    });
    acts.collect()
}

/// Gives many batches of some runs a wrong routing key, and has a person replay them. The draws are apart from all others.
pub(crate) fn lead_astray(plan: &mut Plan) {
    let mut rng = Rng::with_seed(plan.seed ^ 0x000a_57a1);
    if rng.u8(..4) > 0 {
        return;
    }
    let all = plan.batches.clone();
    let is_alone = |n: usize| {
        let key = |batch: &BatchPlan| (batch.tenant, batch.id.clone());
        let is_related =
            |(at, other): (usize, &BatchPlan)| other.after == Some(n) || (at != n && key(other) == key(&all[n]));
        all[n].after.is_none() && !all.iter().enumerate().any(is_related)
    };
    for (n, batch) in plan.batches.iter_mut().enumerate() {
        batch.astray |= is_alone(n) && rng.u8(..5) > 0;
    }
    let limits = Limits { unchanged_too: true, ..Limits::default() };
    let starts_after = Some(ms(&mut rng, 0..3_000));
    let act = Act::Replay { selected: Selected::All, limits, starts_after };
    let at = ms(&mut rng, millis(plan.healed) / 3..millis(plan.healed));
    plan.actions.push((at, Action::Person { person: FIRST_PERSON, act }));
}

fn selected(rng: &mut Rng, tenants: usize) -> Selected {
    match rng.u8(..8) {
        0..=2 => Selected::All,
        3..=4 => Selected::Dead,
        5..=6 => Selected::Tenant(rng.usize(..tenants)),
        _ => Selected::One(rng.usize(..20)),
    }
}

/// A person at the command line.
pub(crate) struct Person {
    stage: Arc<Stage>,
    store: StoreOf,
    actor: Actor,
}

impl Person {
    pub(crate) fn new(stage: &Arc<Stage>, number: u64) -> Self {
        let actor = Actor::new(&format!("person {number}"), Role::Operator, Face::CommandLine);
        Self { stage: stage.clone(), store: stage.store.of(number, Fuse::new()), actor }
    }

    /// Does something, as far as it can be done.
    pub(crate) async fn carry_out(&self, act: &Act) {
        match *act {
            Act::Replay { selected, limits, starts_after } => self.replay(selected, limits, starts_after).await,
            Act::Change { which, action } => {
                let replays = self.stage.store.at_once(|tables, _| tables.replays.keys().copied().collect::<Vec<_>>());
                if let Some(id) = nth(&replays, which) {
                    self.change(*id, action).await;
                }
            }
            Act::ReplayEntry { which } => self.replay_entry(self.entry(which)).await,
            Act::Correct { which } => self.correct(which).await,
            Act::Discard { which } => self.discard(self.entry(which)).await,
            Act::Restore { which } => self.restore(which).await,
        }
    }

    async fn replay(&self, selected: Selected, limits: Limits, starts_after: Option<Duration>) {
        let Some(selection) = self.selection(selected) else { return };
        let Some(id) = self.plan(selection, limits).await.map(|planned| planned.id) else { return };
        if let Some(after) = starts_after {
            sleep(after).await;
            self.change(id, ReplayAction::Start).await;
        }
    }

    /// Plans a replay; each further try is a replay of its own.
    pub(crate) async fn plan(
        &self,
        selection: Selection,
        limits: Limits,
    ) -> Option<testmo_courier::app::replays::Planned> {
        let Limits { per_minute, most, unchanged_too } = limits;
        let request = ReplayRequest { selection, name: None, reason: None, per_minute, most, unchanged_too };
        self.patiently("plan", || plan(&self.store, &self.stage.config, &self.actor, request.clone())).await
    }

    /// Changes a replay; returns whether that was done.
    pub(crate) async fn change(&self, id: ReplayId, action: ReplayAction) -> bool {
        self.patiently("change", || act(&self.store, &self.actor, id, action, Some("a plan"))).await.is_some()
    }

    fn selection(&self, selected: Selected) -> Option<Selection> {
        let matching = |filter| Some(Selection::Matching(filter));
        match selected {
            Selected::All => matching(ShelfFilter::default()),
            Selected::Dead => matching(ShelfFilter { state: Some(ShelfState::Dead), ..ShelfFilter::default() }),
            Selected::Tenant(number) => {
                let tenant = Some(self.stage.tenant(number));
                matching(ShelfFilter { tenant, ..ShelfFilter::default() })
            }
            Selected::One(which) => Some(Selection::Named(vec![EntryName::Id(self.entry(which)?)])),
        }
    }

    fn entry(&self, which: usize) -> Option<ShelfId> {
        let entries = self.stage.store.at_once(|tables, _| tables.shelf.keys().copied().collect::<Vec<_>>());
        nth(&entries, which).map(|id| ShelfId(*id))
    }

    /// Tries until the store answers, and returns the answer unless it is a refusal.
    async fn patiently<T, F: Future<Output = Result<T, ReplayError>>>(
        &self,
        what: &str,
        attempt: impl Fn() -> F,
    ) -> Option<T> {
        for _ in 0..TRIES {
            match attempt().await {
                Ok(done) => return Some(done),
                Err(error) => {
                    self.stage.diary.note(|| format!("{} cannot {what}: {error}", self.actor));
                    if !matches!(error, ReplayError::Store(_) | ReplayError::Selection(_)) {
                        return None;
                    }
                }
            }
            sleep(PAUSE).await;
        }
        None
    }
}

/// Returns an entry of a list by a number that may be beyond its end.
fn nth<T>(list: &[T], number: usize) -> Option<&T> {
    list.get(number.checked_rem(list.len())?)
}
