//! Measures what a replay and the questions of support cost the tenants that have nothing to do with it.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use testmo_courier::app::actor::{Actor, Face, Role};
use testmo_courier::app::replays::{self, ReplayAction, ReplayDetails, ReplayId, ReplayState};
use testmo_courier::store::Store;

use super::super::Bench;
use super::super::flood::say;
use super::super::growth::start;
use super::questions::ask_round;
use crate::listener::Listener;
use crate::output::{count, megabytes, milliseconds, progress};
use crate::stage::Stage;
use crate::stats::percentile;
use crate::target::order::Manner;

/// The number of quiet tenants.
const QUIET: usize = 50;
/// How many batches quiet tenants publish in one measurement.
const PUBLISHED: usize = 600;
/// How long the command that plans may take.
const PLANS: Duration = Duration::from_secs(300);
/// How long a worker may take to end what a paused replay has under way.
const PAUSES: Duration = Duration::from_secs(30);
/// How long the rest of the replay may take.
const REST: Duration = Duration::from_secs(900);
/// The time between two rounds of questions.
const ASKS: Duration = Duration::from_secs(1);
/// How long the target takes for an answer, in milliseconds.
const LATENCY_MS: u64 = 50;
/// The time between two checks of a replay.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// What was measured beside a replay.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Beside {
    /// From publish to delivered, in milliseconds, of each run in which nothing else happens.
    pub(super) p99_alone: Vec<f64>,
    /// The same while somebody asks.
    pub(super) p99_asking: Vec<f64>,
    /// The same while somebody asks and a replay runs.
    pub(super) p99_replaying: Vec<f64>,
    /// Batches of quiet tenants that were not delivered in time.
    pub(super) late: usize,
    /// How many rounds of questions were answered meanwhile.
    pub(super) rounds: u64,
    /// The worker's peak memory, in bytes.
    pub(super) worker_memory: u64,
    /// How many batches were left for the end, when nobody else was there.
    pub(super) replayed: u64,
    pub(super) replay_seconds: f64,
}

/// Returns the names of the quiet tenants.
pub(super) fn quiet_tenants() -> impl Iterator<Item = String> {
    (0..QUIET).map(|number| format!("quiet-{number:02}"))
}

/// Returns who acts.
pub(in crate::rows) fn anna() -> Actor {
    Actor::new("anna", Role::Admin, Face::CommandLine)
}

/// Plans a replay of all dead batches by the command; returns its time in seconds, its memory in bytes, and the replay.
pub(in crate::rows) async fn plan_by_command(
    bench: &Bench<'_>,
    stage: &Stage,
    store: &Store,
) -> anyhow::Result<(f64, u64, ReplayId)> {
    let file = stage.setup.file().display().to_string();
    let arguments = ["--config", &file, "replay", "--state", "dead", "--unchanged", "--plan"];
    let began = Instant::now();
    let command = bench.worker()?.start(&stage.setup.dir, &arguments.map(str::to_owned), &[])?;
    let usage = command.until_ended(PLANS).await?;
    let seconds = began.elapsed().as_secs_f64();
    let newest = replays::list(store, Some(ReplayState::Planned), None, 1).await?;
    Ok((seconds, usage.peak_memory, newest.first().context("a plan")?.id))
}

/// Carries out a replay in turns, while quiet tenants publish: with nothing else, with questions, and with both.
pub(super) async fn measure(
    bench: &mut Bench<'_>,
    stage: &mut Stage,
    store: &Store,
    replay: ReplayId,
) -> anyhow::Result<Beside> {
    bench.neighbours.behave(Manner { latency_ms: LATENCY_MS, ..Manner::default() }).await?;
    let listener = Listener::start(stage.bus.events().await?);
    start(bench, stage).await?;
    let quiet: Vec<String> = quiet_tenants().collect();
    let (mut beside, mut next, mut action) = (Beside::default(), 0, ReplayAction::Start);
    let mut numbers = |most: usize| -> Range<usize> {
        next += most;
        next - most..next
    };
    // Every tenant publishes before the measurement, so that no tenant is new to the worker.
    say(&stage.bus, &listener, &quiet, numbers(QUIET * 4)).await?;
    for run in 1..=bench.limits.runs() {
        let delays = say(&stage.bus, &listener, &quiet, numbers(PUBLISHED)).await?;
        let alone = beside.note(&delays);
        beside.p99_alone.push(alone);
        let delays = tokio::select! {
            delays = say(&stage.bus, &listener, &quiet, numbers(PUBLISHED)) => delays?,
            asked = ask(store, &mut beside.rounds) => anyhow::bail!("asking ended: {asked:?}"),
        };
        let asking = beside.note(&delays);
        beside.p99_asking.push(asking);
        replays::act(store, &anna(), replay, action, None).await?;
        action = ReplayAction::Resume;
        let delays = tokio::select! {
            delays = say(&stage.bus, &listener, &quiet, numbers(PUBLISHED)) => delays?,
            asked = ask(store, &mut beside.rounds) => anyhow::bail!("asking ended: {asked:?}"),
        };
        let replaying = beside.note(&delays);
        beside.p99_replaying.push(replaying);
        let left = pause(store, replay).await?;
        stage.check()?;
        progress(&format!(
            "run {run}: p99 {} alone, {} with questions, {} with a replay as well; {} batches left",
            milliseconds(alone),
            milliseconds(asking),
            milliseconds(replaying),
            count(left as f64)
        ));
        beside.replayed = left;
        if left == 0 {
            break;
        }
    }
    let began = Instant::now();
    if replays::show(store, replay).await?.row.state != Some(ReplayState::Done) {
        replays::act(store, &anna(), replay, ReplayAction::Resume, None).await?;
        until_done(stage, store, replay).await?;
    }
    beside.replay_seconds = began.elapsed().as_secs_f64();
    beside.worker_memory = stage.running.first().context("a worker that runs")?.usage().peak_memory;
    progress(&format!(
        "{} batches replayed in {:.0} s; the worker took {} MB",
        count(beside.replayed as f64),
        beside.replay_seconds,
        megabytes(beside.worker_memory as f64)
    ));
    Ok(beside)
}

impl Beside {
    /// Counts what was late, and returns the p99 of the others in milliseconds.
    fn note(&mut self, delays: &[Option<Duration>]) -> f64 {
        let known: Vec<f64> = delays.iter().flatten().map(|delay| delay.as_secs_f64() * 1e3).collect();
        self.late += delays.len() - known.len();
        percentile(&known, 99.0).unwrap_or(f64::NAN)
    }
}

/// Asks again and again, as a person does.
async fn ask(store: &Store, rounds: &mut u64) -> anyhow::Result<()> {
    let mut pace = tokio::time::interval(ASKS);
    loop {
        pace.tick().await;
        ask_round(store, *rounds).await?;
        *rounds += 1;
    }
}

/// Pauses a replay, unless it is done, and waits until it has nothing under way; returns how many batches are left.
async fn pause(store: &Store, replay: ReplayId) -> anyhow::Result<u64> {
    if let Err(error) = replays::act(store, &anna(), replay, ReplayAction::Pause, None).await {
        let details = replays::show(store, replay).await?;
        anyhow::ensure!(details.row.state == Some(ReplayState::Done), "{error}; {}", progress_of(&details));
    }
    let deadline = Instant::now() + PAUSES;
    loop {
        let details = replays::show(store, replay).await?;
        if details.under_way() == 0 {
            return Ok(details.left());
        }
        let is_late = Instant::now() > deadline;
        anyhow::ensure!(!is_late, "the replay has batches under way after {PAUSES:?}: {}", progress_of(&details));
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Waits until a replay is done and nothing of it is left.
async fn until_done(stage: &mut Stage, store: &Store, replay: ReplayId) -> anyhow::Result<()> {
    let deadline = Instant::now() + REST;
    loop {
        tokio::time::sleep(POLL_INTERVAL * 4).await;
        stage.check()?;
        let details = replays::show(store, replay).await?;
        if details.row.state != Some(ReplayState::Running) {
            let is_done = details.row.state == Some(ReplayState::Done) && details.left() + details.under_way() == 0;
            anyhow::ensure!(is_done, "the replay did not finish: {}", progress_of(&details));
            progress(&progress_of(&details));
            return Ok(());
        }
        let is_late = Instant::now() > deadline;
        anyhow::ensure!(!is_late, "the replay did not finish within {REST:?}: {}", progress_of(&details));
    }
}

/// Returns the state and the numbers of a replay.
fn progress_of(details: &ReplayDetails) -> String {
    let state = details.row.state.map_or("in an unknown state", ReplayState::name);
    format!("{state}, {} left, {} under way, {:?}", details.left(), details.under_way(), details.outcomes)
}
