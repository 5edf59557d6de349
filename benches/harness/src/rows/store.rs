//! Row 8: measures how much the store reduces the worker's speed.

use serde_json::json;

use super::Bench;
use crate::contestant::{Contestant, storeless};
use crate::measure::{Job, Sample, measure};
use crate::output::{count, megabytes, progress};
use crate::report::{Check, RowResult};
use crate::stats::median;
use crate::target::order::Manner;

/// Cases of a batch.
const CASES: usize = 5;
/// Concurrent requests.
const IN_FLIGHT: usize = 64;
/// How long a request takes, in milliseconds.
const LATENCY_MS: u64 = 20;
/// The database, of which there is one at a time.
const DATABASE: &str = "bench";

/// A store, and the share that it must reach of the speed without a store.
struct Case {
    name: &'static str,
    contestant: Contestant,
    on_postgres: bool,
    reach: Option<f64>,
    samples: Vec<Sample>,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let worker = bench.worker()?;
    let case = |name, contestant: &Contestant, on_postgres, reach| Case {
        name,
        contestant: contestant.clone(),
        on_postgres,
        reach,
        samples: vec![],
    };
    let mut cases = [
        case("a store that does nothing", &storeless(&worker)?, false, None),
        case("SQLite", &worker, false, Some(0.85)),
        case("PostgreSQL", &worker, true, Some(0.7)),
    ];
    let runs = bench.limits.runs();
    for run in 1..=runs {
        for case in &mut cases {
            let sample = one(bench, case).await?;
            progress(&format!("run {run}: {:<26} {} cases/s", case.name, count(sample.cases_per_second)));
            case.samples.push(sample);
        }
    }
    let scenario = format!("one account, the target takes {LATENCY_MS} ms, {IN_FLIGHT} requests at once");
    let mut row = RowResult::new(8, &scenario, runs);
    row.header = ["store", "cases/s (median)", "batches in a request", "CPU s per 1,000 batches", "peak memory, MB"]
        .map(str::to_owned)
        .into();
    row.lines = cases.iter().map(line).collect();
    for case in &cases {
        let Some(reach) = case.reach else { continue };
        // Runs that follow each other find a similar state of the machine, which other programs share.
        let shares = case.samples.iter().zip(&cases[0].samples);
        let shares: Vec<f64> = shares.map(|(with, without)| with.cases_per_second / without.cases_per_second).collect();
        let share = median(&shares);
        row.checks.push(Check::judged(
            &format!(
                "cases/s on {} over a store that does nothing, in the same run, at least {:.0} %",
                case.name,
                reach * 100.0
            ),
            share.map(|share| (format!("{:.0} %", share * 100.0), share >= reach)),
        ));
    }
    row.notes.push("Without a store events wait in memory until they are announced; all else is the same.".to_owned());
    row.samples = cases.iter().map(|case| (case.name.to_owned(), json!(case.samples))).collect();
    Ok(row)
}

async fn one(bench: &mut Bench<'_>, case: &Case) -> anyhow::Result<Sample> {
    let store_url = if case.on_postgres {
        // A failed measurement may have left the database.
        drop(bench.neighbours.drop_database(DATABASE).await);
        Some(bench.neighbours.add_database(DATABASE).await?)
    } else {
        None
    };
    let job = Job {
        batches: bench.limits.size(20_000, 1_000),
        cases: CASES,
        tenants: 1,
        burst: 1,
        store_url,
        span: bench.limits.span(),
        prefetch: bench.limits.prefetch,
        in_flight: IN_FLIGHT,
        manner: Manner { latency_ms: LATENCY_MS, ..Manner::default() },
    };
    let sample = measure(bench.neighbours, &case.contestant, &job).await?;
    if case.on_postgres {
        bench.neighbours.drop_database(DATABASE).await?;
    }
    Ok(sample)
}

fn line(case: &Case) -> Vec<String> {
    let middle = |of: fn(&Sample) -> f64| median(&case.samples.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    vec![
        case.name.to_owned(),
        count(middle(|sample| sample.cases_per_second)),
        format!("{:.1}", middle(Sample::batches_in_a_request)),
        format!("{:.2}", middle(|sample| sample.cpu_per_1000)),
        megabytes(middle(|sample| sample.peak_memory as f64)),
    ]
}
