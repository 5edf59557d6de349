//! Row 4: measures whether quiet tenants are delayed by a tenant in trouble that floods the queue.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::{Bench, Limits};
use crate::bus::Bus;
use crate::listener::Listener;
use crate::message::{Form, batch_id, draft};
use crate::output::{count, milliseconds, progress, times};
use crate::report::{Check, RowResult};
use crate::stage::{Stage, Wishes};
use crate::stats::{median, percentile};
use crate::target::order::Manner;

/// The tenant that floods.
const FLOODER: &str = "flood";
/// The number of quiet tenants.
const QUIET: usize = 200;
/// Cases of a batch.
const CASES: usize = 5;
/// The pause that the flooding account asks for, in seconds. A pause longer than five minutes would publish an event
/// for each batch.
const GATE_SECONDS: u64 = 240;
/// The time between two batches of quiet tenants.
const PACE: Duration = Duration::from_millis(10);
/// How long the measurement waits for batches that are not delivered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the worker may take to skim the flood.
const SKIMS: Duration = Duration::from_secs(60);

/// The result of one run of a worker.
#[derive(Debug, Serialize)]
struct Life {
    /// Batches of the flood taken from the queue per second, if there was a flood.
    skimmed_per_second: Option<f64>,
    /// Whether the whole flood was taken.
    skimmed: bool,
    /// The median from publish to delivered, in milliseconds.
    p50: f64,
    p99: f64,
    /// Batches of quiet tenants that were not delivered in time; they count with the longest wait.
    late: usize,
}

/// What is wrong with the tenant that floods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Its account answers 429.
    Throttled,
    /// It has no connection.
    Unknown,
    /// Its key is refused.
    KeyRefused,
    /// No queue is bound for its events.
    Unbound,
}

impl Trouble {
    const ALL: [Self; 4] = [Self::Throttled, Self::Unknown, Self::KeyRefused, Self::Unbound];

    fn name(self) -> &'static str {
        match self {
            Self::Throttled => "a throttled tenant",
            Self::Unknown => "an unknown tenant",
            Self::KeyRefused => "a tenant with a refused key",
            Self::Unbound => "a tenant whose events no queue is bound for",
        }
    }

    /// Returns how many batches flood the queue. Those of a tenant that only nobody listens to are delivered.
    fn size(self, limits: Limits) -> usize {
        match self {
            Self::Throttled => limits.size(50_000, 3_000),
            Self::Unknown | Self::KeyRefused => limits.size(20_000, 2_000),
            Self::Unbound => limits.size(5_000, 500),
        }
    }
}

pub(super) async fn run(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let runs = bench.limits.runs();
    let (mut without, mut with) = (Vec::new(), Trouble::ALL.map(|trouble| (trouble, Vec::new())));
    for run in 1..=runs {
        let life = live(bench, None).await?;
        progress(&format!("run {run}: no flood: p99 {}", milliseconds(life.p99)));
        without.push(life);
        for (trouble, lives) in &mut with {
            let life = live(bench, Some(*trouble)).await?;
            let rate = life.skimmed_per_second.map_or_else(String::new, count);
            let (name, p99) = (trouble.name(), milliseconds(life.p99));
            progress(&format!("run {run}: flood of {name}: p99 {p99}, {rate} skimmed a second"));
            lives.push(life);
        }
    }
    let scenario = format!("the batches of one tenant in trouble flood the queue, {QUIET} quiet tenants");
    let mut row = RowResult::new(4, &scenario, runs);
    row.header =
        ["", "quiet tenants' p50", "p99", "not delivered in time", "skimmed in a second"].map(str::to_owned).into();
    row.lines = vec![line("without a flood", &without)];
    row.samples = [("without".to_owned(), json!(without))].into();
    let p99 = |lives: &[Life]| median(&lives.iter().map(|life| life.p99).collect::<Vec<_>>());
    for (trouble, lives) in &with {
        let (name, size) = (trouble.name(), trouble.size(bench.limits));
        row.lines.push(line(&format!("after {} batches of {name}", count(size as f64)), lives));
        row.samples.insert(name.to_owned(), json!(lives));
        let ratio = p99(lives).zip(p99(&without)).map(|(with, without)| with / without);
        let skimmed = lives.iter().all(|life| life.skimmed);
        row.checks.push(Check::judged(
            &format!("{name}: quiet tenants' p99 over the same without a flood, at most 1.5 x"),
            ratio.map(|ratio| (times(ratio), skimmed && ratio <= 1.5)),
        ));
        if *trouble != Trouble::Unbound {
            let rate = median(&lives.iter().filter_map(|life| life.skimmed_per_second).collect::<Vec<_>>());
            row.checks.push(Check::judged(
                &format!("{name}: batches skimmed in a second, at least 5,000"),
                rate.map(|rate| (count(rate), skimmed && rate >= 5_000.0)),
            ));
        }
        if !skimmed {
            row.notes.push(format!("The flood of {name} was not skimmed within {} s.", SKIMS.as_secs()));
        }
    }
    row.notes.push(format!(
        "The flood waits in the queue when the worker starts; it is skimmed once the queue is empty. Then a quiet \
         tenant publishes every {} ms, in turn. A throttled account answers 429 with Retry-After {GATE_SECONDS}.",
        PACE.as_millis()
    ));
    Ok(row)
}

/// Runs a worker once: it skims the flood, and then serves the quiet tenants.
async fn live(bench: &mut Bench<'_>, trouble: Option<Trouble>) -> anyhow::Result<Life> {
    let worker = bench.worker()?;
    let is = |wanted: Trouble| trouble == Some(wanted);
    let closed = is(Trouble::Throttled).then(|| (FLOODER.to_owned(), GATE_SECONDS)).into_iter().collect();
    let revoked = is(Trouble::KeyRefused).then(|| FLOODER.to_owned()).into_iter().collect();
    bench.neighbours.behave(Manner { closed, revoked, ..Manner::default() }).await?;
    let quiet: Vec<String> = (0..QUIET).map(|number| format!("q{number:03}")).collect();
    let flooder = (!is(Trouble::Unknown)).then(|| FLOODER.to_owned());
    let wishes = Wishes {
        store_url: None,
        prefetch: bench.limits.prefetch,
        in_flight: bench.limits.in_flight,
        max_cases: None,
        tenants: quiet.iter().cloned().chain(flooder).collect(),
    };
    let heard = match trouble {
        Some(Trouble::Unbound) => quiet.iter().map(|tenant| format!("{tenant}.#")).collect(),
        Some(Trouble::Throttled | Trouble::Unknown | Trouble::KeyRefused) | None => vec!["#".to_owned()],
    };
    let mut stage = Stage::set_hearing(bench.neighbours, &wishes, &heard).await?;
    let flood = trouble.map_or(0, |trouble| trouble.size(bench.limits));
    stage.bus.fill((0..flood).map(|number| draft(Form::Plain, FLOODER, number, CASES))).await?;
    let listener = Listener::start(stage.bus.events().await?);
    stage.start_worker(&worker)?;
    let (skimmed, rate) = if flood == 0 { (true, None) } else { skim(&mut stage, flood).await? };
    // Every tenant publishes once before the measurement, so that no tenant is new to the worker.
    say(&stage.bus, &listener, &quiet, 0..QUIET).await?;
    let measured = bench.limits.size(1_000, 200);
    let delays = say(&stage.bus, &listener, &quiet, QUIET..QUIET + measured).await?;
    stage.check()?;
    stage.strike(bench.neighbours).await?;
    let late = delays.iter().filter(|delay| delay.is_none()).count();
    let delays: Vec<f64> = delays.into_iter().map(|delay| delay.unwrap_or(PATIENCE).as_secs_f64() * 1e3).collect();
    let at = |percent| percentile(&delays, percent).unwrap_or(f64::NAN);
    Ok(Life { skimmed_per_second: rate, skimmed, p50: at(50.0), p99: at(99.0), late })
}

/// Waits until the queue is empty; returns whether it became empty, and at which rate.
async fn skim(stage: &mut Stage, flood: usize) -> anyhow::Result<(bool, Option<f64>)> {
    let deadline = Instant::now() + SKIMS;
    let (mut began, mut left) = (Instant::now(), flood);
    while left > 0 && Instant::now() < deadline {
        stage.check()?;
        if left == flood {
            began = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        left = stage.bus.batches_ready().await?;
    }
    Ok((left == 0, Some((flood - left) as f64 / began.elapsed().as_secs_f64())))
}

/// Lets tenants take turns to publish; returns the time from publish to delivered of each batch that was delivered.
pub(super) async fn say(
    bus: &Bus,
    listener: &Listener,
    tenants: &[String],
    numbers: std::ops::Range<usize>,
) -> anyhow::Result<Vec<Option<Duration>>> {
    let (mut sent, mut subjects, mut confirms) = (Vec::new(), Vec::new(), Vec::new());
    let mut pace = tokio::time::interval(PACE);
    for number in numbers {
        pace.tick().await;
        let tenant = &tenants[number % tenants.len()];
        let draft = draft(Form::Plain, tenant, number, CASES);
        sent.push(Instant::now());
        confirms.push(bus.send(&draft).await?);
        subjects.push(format!("{tenant}/{}", batch_id(number)));
    }
    for confirm in confirms {
        confirm.await?;
    }
    let arrived = listener.delivered(&subjects, Instant::now() + PATIENCE).await;
    Ok(sent.into_iter().zip(arrived).map(|(sent, at)| at.map(|at| at - sent)).collect())
}

fn line(name: &str, lives: &[Life]) -> Vec<String> {
    let middle = |of: fn(&Life) -> f64| median(&lives.iter().map(of).collect::<Vec<_>>()).map(milliseconds);
    let late: usize = lives.iter().map(|life| life.late).sum();
    let rate = median(&lives.iter().filter_map(|life| life.skimmed_per_second).collect::<Vec<_>>());
    vec![
        name.to_owned(),
        middle(|life| life.p50).unwrap_or_default(),
        middle(|life| life.p99).unwrap_or_default(),
        late.to_string(),
        rate.map_or_else(|| "–".to_owned(), count),
    ]
}
