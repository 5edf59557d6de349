//! Row 10: how long does support wait for answers from a large store, and who waits for support?

mod beside;
mod questions;

use std::time::Instant;

use serde::Serialize;
use serde_json::{Value, json};
use testmo_courier::clock::Clock;
use testmo_courier::store::{Store, StoreHealth};

use self::beside::Beside;
pub(super) use self::beside::{anna, plan_by_command};
use self::questions::{Asked, Asker, slowest};
use super::Bench;
use super::growth::{stage, strike};
use super::large::names::{TENANTS, tenant_number};
use super::large::seed::{self, Size};
use crate::output::{count, megabytes, milliseconds, progress, times};
use crate::report::{Check, RowResult};
use crate::stats::median;

/// The longest time that a group, a search or a page of a list may take, in milliseconds.
const LONGEST_ANSWER_MS: f64 = 200.0;
/// The longest time that the plan of a replay of all dead batches may take, in seconds.
const LONGEST_PLAN_S: f64 = 5.0;
/// The most resident memory of the command that plans, and of the worker that carries out, in bytes.
const MOST_MEMORY: u64 = 64 * 1024 * 1024;
/// How many times longer the quiet tenants' p99 may be meanwhile.
const MOST_DELAY: f64 = 1.2;

/// What was measured on one kind of store.
#[derive(Clone, Debug, Serialize)]
struct OnStore {
    store: &'static str,
    asked: Vec<Asked>,
    plan_seconds: f64,
    plan_memory: u64,
    beside: Beside,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let size = Size::of(bench.limits, (1_000_000, 10_000), (1_000_000, 10_000));
    let mut measured = Vec::new();
    for store in ["SQLite", "PostgreSQL"] {
        progress(&format!("\n{store}"));
        measured.push(measure(bench, store, &size).await?);
    }
    let scenario = format!(
        "{} dead batches of {} causes at {TENANTS} tenants among {} delivered ones, and people who ask, plan and replay",
        count(size.dead as f64),
        seed::CAUSES.len(),
        count(size.delivered as f64)
    );
    let mut row = RowResult::new(10, &scenario, bench.limits.runs());
    row.header = std::iter::once("what".to_owned())
        .chain(measured.iter().flat_map(|on| [format!("{}, median", on.store), "longest".into(), "found".into()]))
        .collect();
    row.lines = lines(&measured);
    row.checks = measured.iter().flat_map(checks).collect();
    row.notes = measured.iter().map(note).collect();
    row.notes.push(
        "Each question is asked 21 times, through the use cases and without the start of a process. The plan is a command: \
         `replay --state dead --unchanged --plan`, with its start. Then a quiet tenant publishes every 10 ms, in turns alone, \
         while somebody asks for groups and searches every second, and while a worker carries out the replay as well; the target \
         takes 50 ms."
            .to_owned(),
    );
    row.samples = measured
        .iter()
        .map(|on| (on.store.to_owned(), json!(on)))
        .collect::<std::collections::BTreeMap<String, Value>>();
    Ok(row)
}

async fn measure(bench: &mut Bench<'_>, name: &'static str, size: &Size) -> anyhow::Result<OnStore> {
    let on_postgres = name == "PostgreSQL";
    let tenants = (0..TENANTS).map(tenant_number).chain(beside::quiet_tenants()).collect();
    let mut stage = stage(bench, on_postgres, tenants).await?;
    let config = stage.setup.config.clone();
    let store = Store::open(&config.store, false, Clock::system()).await?;
    let (began, now) = (Instant::now(), store.now());
    let disk = seed::fill(&stage, &store, size, now).await?;
    progress(&format!("filled in {:.0} s, {}", began.elapsed().as_secs_f64(), disk.told()));
    let (plan_seconds, plan_memory, planned) = plan_by_command(bench, &stage, &store).await?;
    progress(&format!("planned in {plan_seconds:.2} s with {} MB", megabytes(plan_memory as f64)));
    let origin = stage.origins[0].clone();
    let mut asker = Asker { store: &store, size, origin: &origin, now, asked: Vec::new() };
    asker.ask_all(planned).await?;
    let asked = asker.asked;
    let beside = beside::measure(bench, &mut stage, &store, planned).await?;
    store.close().await;
    strike(bench, stage, on_postgres).await?;
    Ok(OnStore { store: name, asked, plan_seconds, plan_memory, beside })
}

fn lines(measured: &[OnStore]) -> Vec<Vec<String>> {
    let Some(first) = measured.first() else { return Vec::new() };
    let line = |(at, asked): (usize, &Asked)| {
        let of = |on: &OnStore| {
            let asked = &on.asked[at];
            [milliseconds(asked.median), milliseconds(asked.longest), asked.found.to_string()]
        };
        std::iter::once(asked.what.clone()).chain(measured.iter().flat_map(of)).collect()
    };
    first.asked.iter().enumerate().map(line).collect()
}

fn checks(on: &OnStore) -> Vec<Check> {
    let (store, beside) = (on.store, &on.beside);
    let memory = |what: &str, bytes: u64| {
        let figure = format!("{} MB", megabytes(bytes as f64));
        Check::judged(&format!("{store}: {what}, resident memory under 64 MB"), Some((figure, bytes < MOST_MEMORY)))
    };
    let p99 = |of: &[f64]| median(of).filter(|p99| p99.is_finite());
    let delay = |what: &str, with: &[f64]| {
        let delay = p99(with).zip(p99(&beside.p99_alone)).map(|(with, alone)| with / alone);
        Check::judged(
            &format!("{store}: quiet tenants' p99 {what}, at most {MOST_DELAY} x"),
            delay.map(|delay| (times(delay), beside.late == 0 && delay <= MOST_DELAY)),
        )
    };
    vec![
        Check::judged(
            &format!("{store}: the slowest question, under {LONGEST_ANSWER_MS} ms"),
            slowest(&on.asked).map(|asked| {
                (format!("{} ({})", milliseconds(asked.median), asked.what), asked.median < LONGEST_ANSWER_MS)
            }),
        ),
        Check::judged(
            &format!("{store}: a plan of everything, under {LONGEST_PLAN_S} s"),
            Some((format!("{:.2} s", on.plan_seconds), on.plan_seconds < LONGEST_PLAN_S)),
        ),
        memory("the command that plans", on.plan_memory),
        memory("the worker that carries out", beside.worker_memory),
        delay("while people ask", &beside.p99_asking),
        delay("while people ask and a replay runs", &beside.p99_replaying),
    ]
}

fn note(on: &OnStore) -> String {
    let Beside { replayed, replay_seconds, rounds, late, .. } = &on.beside;
    let p99 = |of: &[f64]| of.iter().map(|p99| milliseconds(*p99)).collect::<Vec<_>>().join(", ");
    format!(
        "{}: p99 of the quiet tenants: {} alone, {} with questions, {} with a replay as well; {late} of their batches were \
         late. {rounds} rounds of questions were answered meanwhile. The rest of the replay, {} batches, took \
         {replay_seconds:.0} s.",
        on.store,
        p99(&on.beside.p99_alone),
        p99(&on.beside.p99_asking),
        p99(&on.beside.p99_replaying),
        count(*replayed as f64),
    )
}
