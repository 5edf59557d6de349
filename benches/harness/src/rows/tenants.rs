//! Row 5: measures the cost of many tenants, in memory and in speed.

use serde_json::json;

use super::Bench;
use crate::measure::{Job, Sample, measure};
use crate::output::{count, megabytes, progress, times};
use crate::report::{Check, RowResult};
use crate::stats::median;
use crate::target::order::Manner;

/// Batches that a tenant publishes one after another.
const BURST: usize = 10;
/// The most resident memory allowed, in bytes.
const MOST_MEMORY: u64 = 64 * 1024 * 1024;
/// How many times longer than other measurements this one may take, because there are more batches.
const SPANS: u32 = 4;

pub(super) async fn run(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let worker = bench.worker()?;
    let limits = bench.limits;
    let (runs, many, few) = (limits.runs(), limits.size(10_000, 500), limits.size(100, 5));
    let job = |tenants: usize| Job {
        batches: many * BURST,
        cases: 5,
        tenants,
        burst: BURST,
        store_url: None,
        span: limits.span() * SPANS,
        prefetch: limits.prefetch,
        in_flight: limits.in_flight,
        manner: Manner::default(),
    };
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for run in 1..=runs {
        for (tenants, samples) in [(few, &mut of_few), (many, &mut of_many)] {
            let sample = measure(bench.neighbours, &worker, &job(tenants)).await?;
            let (speed, memory) = (count(sample.cases_per_second), megabytes(sample.peak_memory as f64));
            progress(&format!("run {run}: {tenants} tenants: {speed} cases/s, {memory} MB"));
            samples.push(sample);
        }
    }
    let scenario = format!("{} tenants, {BURST} batches each", count(many as f64));
    let mut row = RowResult::new(5, &scenario, runs);
    row.header = ["tenants", "cases/s (median)", "batches in a request", "CPU s per 1,000 batches", "peak memory, MB"]
        .map(str::to_owned)
        .into();
    row.lines = vec![line(few, &of_few), line(many, &of_many)];
    let memory = of_many.iter().map(|sample| sample.peak_memory).max();
    row.checks.push(Check::judged(
        "resident memory, under 64 MB",
        memory.map(|bytes| (format!("{} MB", megabytes(bytes as f64)), bytes < MOST_MEMORY)),
    ));
    let ratio = speed(&of_many).zip(speed(&of_few)).map(|(many, few)| many / few);
    row.checks.push(Check::judged(
        &format!("cases/s over the {few}-tenant case, at least 0.9 x"),
        ratio.map(|ratio| (times(ratio), ratio >= 0.9)),
    ));
    row.notes.push(format!(
        "Both cases are {} batches of 5 cases; each tenant has an account of its own and publishes {BURST} batches at \
         a time, so that as many batches can be packed in the one as in the other.",
        count((many * BURST) as f64)
    ));
    row.samples = [(few.to_string(), json!(of_few)), (many.to_string(), json!(of_many))].into();
    Ok(row)
}

fn speed(samples: &[Sample]) -> Option<f64> {
    median(&samples.iter().map(|sample| sample.cases_per_second).collect::<Vec<_>>())
}

fn line(tenants: usize, samples: &[Sample]) -> Vec<String> {
    let middle = |of: fn(&Sample) -> f64| median(&samples.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    vec![
        count(tenants as f64),
        count(middle(|sample| sample.cases_per_second)),
        format!("{:.1}", middle(Sample::batches_in_a_request)),
        format!("{:.2}", middle(|sample| sample.cpu_per_1000)),
        megabytes(middle(|sample| sample.peak_memory as f64)),
    ]
}
