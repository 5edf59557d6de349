//! Row 7: measures whether a second replica on PostgreSQL adds as much speed as the first.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::Bench;
use crate::message::{Form, draft};
use crate::output::{count, progress, times};
use crate::report::{Check, RowResult};
use crate::stage::{Stage, Wishes};
use crate::stats::median;
use crate::target::order::Manner;

/// The tenant.
const TENANT: &str = "acme";
/// The database, of which there is one at a time.
const DATABASE: &str = "bench";
/// Cases of a batch and upper bound for cases of a request, so that nothing is packed.
const CASES: usize = 5;
/// Concurrent requests of each replica.
const IN_FLIGHT: usize = 4;
/// How long a request takes, in milliseconds.
const LATENCY_MS: u64 = 50;
/// How long the replicas run before the measurement.
const WARM_UP: Duration = Duration::from_secs(2);

/// The result of one run.
#[derive(Debug, Serialize)]
struct Speed {
    cases_per_second: f64,
    most_at_once: usize,
    duplicates: u64,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let runs = bench.limits.runs();
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        for (replicas, speeds) in [(1, &mut one), (2, &mut two)] {
            let speed = measure(bench, replicas).await?;
            progress(&format!("run {run}: {replicas} on PostgreSQL: {} cases/s", count(speed.cases_per_second)));
            speeds.push(speed);
        }
    }
    let mut row = RowResult::new(7, "1 and 2 replicas on PostgreSQL, the target takes 50 ms, packing off", runs);
    row.header = ["replicas", "cases/s (median)", "most requests at once", "duplicates"].map(str::to_owned).into();
    row.lines = vec![line("1", &one), line("2", &two)];
    let ratio = middle(&two).zip(middle(&one)).map(|(two, one)| two / one);
    row.checks.push(Check::judged(
        "cases/s of 2 replicas over 1, at least 1.8 x",
        ratio.map(|ratio| (times(ratio), ratio >= 1.8)),
    ));
    let twice: u64 = one.iter().chain(&two).map(|speed| speed.duplicates).sum();
    row.checks.push(Check::judged("cases that were created twice, none", Some((twice.to_string(), twice == 0))));
    let bound = |replicas: usize| count((replicas * IN_FLIGHT * CASES) as f64 * 1000.0 / LATENCY_MS as f64);
    row.notes.push(format!(
        "{IN_FLIGHT} requests at once of each replica, to one account; with {CASES} cases in {LATENCY_MS} ms that is \
         at most {} and {} cases/s.",
        bound(1),
        bound(2)
    ));
    row.samples = [("1".to_owned(), json!(one)), ("2".to_owned(), json!(two))].into();
    Ok(row)
}

async fn measure(bench: &mut Bench<'_>, replicas: usize) -> anyhow::Result<Speed> {
    let worker = bench.worker()?;
    bench.neighbours.behave(Manner { latency_ms: LATENCY_MS, ..Manner::default() }).await?;
    // A failed measurement may have left the database.
    drop(bench.neighbours.drop_database(DATABASE).await);
    let store_url = Some(bench.neighbours.add_database(DATABASE).await?);
    let wishes = Wishes {
        store_url,
        prefetch: bench.limits.prefetch,
        in_flight: IN_FLIGHT,
        max_cases: Some(CASES),
        tenants: vec![TENANT.to_owned()],
    };
    let mut stage = Stage::set(bench.neighbours, &wishes).await?;
    let span = bench.limits.span() - WARM_UP;
    let batches = bound_batches(replicas, WARM_UP + span * 2);
    stage.bus.fill((0..batches).map(|number| draft(Form::Plain, TENANT, number, CASES))).await?;
    for _ in 0..replicas {
        stage.start_worker(&worker)?;
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while bench.neighbours.report().await?.first_create.is_none() {
        anyhow::ensure!(Instant::now() < deadline, "nothing happens:\n{}", stage.tail()?);
        stage.check()?;
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    tokio::time::sleep(WARM_UP).await;
    let (began, before) = (Instant::now(), bench.neighbours.report().await?);
    tokio::time::sleep(span).await;
    let (seconds, after) = (began.elapsed().as_secs_f64(), bench.neighbours.report().await?);
    stage.check()?;
    stage.strike(bench.neighbours).await?;
    bench.neighbours.drop_database(DATABASE).await?;
    Ok(Speed {
        cases_per_second: (after.cases - before.cases) as f64 / seconds,
        most_at_once: after.most_at_once,
        duplicates: after.duplicates,
    })
}

/// Returns more batches than replicas can deliver in a time.
fn bound_batches(replicas: usize, time: Duration) -> usize {
    let rounds = time.as_millis() / u128::from(LATENCY_MS);
    usize::try_from(rounds).unwrap_or(usize::MAX).saturating_mul(replicas * IN_FLIGHT)
}

fn middle(speeds: &[Speed]) -> Option<f64> {
    median(&speeds.iter().map(|speed| speed.cases_per_second).collect::<Vec<_>>())
}

fn line(replicas: &str, speeds: &[Speed]) -> Vec<String> {
    let most = speeds.iter().map(|speed| speed.most_at_once).max().unwrap_or(0);
    let duplicates: u64 = speeds.iter().map(|speed| speed.duplicates).sum();
    vec![replicas.to_owned(), middle(speeds).map(count).unwrap_or_default(), most.to_string(), duplicates.to_string()]
}
