//! Row 3: measures how close the worker comes to the rate of throttled accounts, and how many requests it wastes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use super::Bench;
use crate::message::{Form, draft};
use crate::output::{count, progress};
use crate::report::{Check, RowResult};
use crate::stage::{Stage, Wishes};
use crate::stats::median;
use crate::target::order::{Bucket, Manner, Refusal, Refusals};

/// Tokens that a bucket holds, and gains in a minute of its time.
const CAPACITY: usize = 60;
/// How much faster the buckets' time passes.
const SCALE: f64 = 4.0;
/// Cases of a batch and upper bound for cases of a request, so that each batch needs one request, however batches are
/// packed.
const CASES: usize = 10;
/// Concurrent requests to an account: the worker's default.
const CONCURRENCY: usize = 4;
/// How many times longer than necessary a run may take before it is given up.
const PATIENCE: f64 = 3.0;

/// The result of one run.
#[derive(Debug, Serialize)]
struct Drained {
    /// Time to drain divided by the time that the buckets need; for an unfinished run, a lower bound.
    ratio: f64,
    finished: bool,
    seconds: f64,
    requests: u64,
    refused: u64,
    first_window: usize,
    later_window: usize,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let runs = bench.limits.runs();
    let accounts = bench.limits.size(50, 10);
    let beyond = bench.limits.size(120, 12);
    let mut drained = Vec::new();
    for run in 1..=runs {
        let one = drain(bench, accounts, beyond).await?;
        progress(&format!("run {run}: {:.3} of what the buckets allow, {} answers 429", one.ratio, one.refused));
        drained.push(one);
    }
    let scenario = format!("{accounts} accounts with token buckets, {} requests for each", CAPACITY + beyond);
    let mut row = RowResult::new(3, &scenario, runs);
    row.header = [
        "run",
        "time to drain, s",
        "over (requests − capacity) / rate",
        "requests",
        "429",
        "most at the first 429 of an account",
        "most in a later window",
    ]
    .map(str::to_owned)
    .into();
    row.lines = drained.iter().enumerate().map(|(run, one)| line(run + 1, one)).collect();
    let middle = median(&drained.iter().map(|one| one.ratio).collect::<Vec<_>>());
    let finished = drained.iter().all(|one| one.finished);
    row.checks.push(Check::judged(
        "time to drain over (requests needed − capacity) / rate, at most 1.05",
        middle.map(|ratio| (format!("{ratio:.3}"), finished && ratio <= 1.05)),
    ));
    let most = |of: fn(&Drained) -> usize| drained.iter().map(of).max();
    row.checks.push(Check::judged(
        &format!("429 answers at the first one of an account, at most the concurrency ({CONCURRENCY})"),
        most(|one| one.first_window).map(|most| (most.to_string(), most <= CONCURRENCY)),
    ));
    row.checks.push(Check::judged(
        "429 answers in a window afterwards, at most 1",
        most(|one| one.later_window).map(|most| (most.to_string(), most <= 1)),
    ));
    row.notes.push(format!(
        "A bucket holds {CAPACITY} requests and gains {CAPACITY} a minute; its time passes {SCALE:.0} times as fast. \
         Retry-After is the time to the next token, at least 1 s. A batch has {CASES} cases and requests.max_cases is \
         {CASES}, so that packing does not change how many requests are needed. A window begins with a 429 that is in \
         none, and lasts as long as that one's Retry-After."
    ));
    row.samples = [("testmo-courier".to_owned(), json!(drained))].into();
    Ok(row)
}

async fn drain(bench: &mut Bench<'_>, accounts: usize, beyond: usize) -> anyhow::Result<Drained> {
    let worker = bench.worker()?;
    let per_second = CAPACITY as f64 / 60.0 * SCALE;
    let bucket = Some(Bucket { capacity: CAPACITY as f64, per_second });
    bench.neighbours.behave(Manner { bucket, ..Manner::default() }).await?;
    let tenants: Vec<String> = (0..accounts).map(|number| format!("t{number:03}")).collect();
    let wishes = Wishes {
        store_url: None,
        prefetch: bench.limits.prefetch,
        in_flight: CONCURRENCY,
        max_cases: Some(CASES),
        tenants: tenants.clone(),
    };
    let mut stage = Stage::set(bench.neighbours, &wishes).await?;
    let needed = (CAPACITY + beyond) * accounts;
    let drafts = (0..needed).map(|number| draft(Form::Plain, &tenants[number % accounts], number, CASES));
    stage.bus.fill(drafts).await?;
    stage.start_worker(&worker)?;
    let allowed = beyond as f64 / per_second;
    let deadline = Instant::now() + Duration::from_secs_f64(allowed * PATIENCE + 10.0);
    let all = (needed * CASES) as u64;
    let report = loop {
        let report = bench.neighbours.report().await?;
        if report.cases >= all || Instant::now() > deadline {
            break report;
        }
        stage.check()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let refusals = bench.neighbours.refusals().await?;
    stage.strike(bench.neighbours).await?;
    let (first, last) = (report.first_create.unwrap_or(0), report.last_case.unwrap_or(0));
    let seconds = (last - first) as f64 / 1e6;
    let finished = report.cases >= all;
    let (first_window, later_window) = worst_windows(&refusals);
    Ok(Drained {
        ratio: if finished { seconds / allowed } else { PATIENCE.max(seconds / allowed) },
        finished,
        seconds,
        requests: report.creates,
        refused: refusals.values().map(|of| of.len() as u64).sum(),
        first_window,
        later_window,
    })
}

fn line(run: usize, one: &Drained) -> Vec<String> {
    let ratio = if one.finished { format!("{:.3}", one.ratio) } else { "did not drain".to_owned() };
    vec![
        run.to_string(),
        format!("{:.1}", one.seconds),
        ratio,
        count(one.requests as f64),
        count(one.refused as f64),
        one.first_window.to_string(),
        one.later_window.to_string(),
    ]
}

/// Returns the most refusals in the first window of any account, and in any later window.
fn worst_windows(refusals: &Refusals) -> (usize, usize) {
    let by_account: BTreeMap<&String, Vec<usize>> = refusals.iter().map(|(name, of)| (name, windows(of))).collect();
    let first = by_account.values().filter_map(|windows| windows.first()).max();
    let later = by_account.values().flat_map(|windows| windows.iter().skip(1)).max();
    (first.copied().unwrap_or(0), later.copied().unwrap_or(0))
}

/// Returns how many refusals are in each window.
fn windows(refusals: &[Refusal]) -> Vec<usize> {
    let (mut counts, mut end) = (Vec::new(), i64::MIN);
    for refusal in refusals {
        if let (Some(count), true) = (counts.last_mut(), refusal.at < end) {
            *count += 1;
        } else {
            counts.push(1);
            end = refusal.at + i64::try_from(refusal.retry_after).unwrap_or(0) * 1_000_000;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(of: &[(i64, u64)]) -> Vec<Refusal> {
        of.iter().map(|(ms, retry_after)| Refusal { at: ms * 1000, retry_after: *retry_after }).collect()
    }

    #[test]
    fn a_window_lasts_as_long_as_the_pause_of_the_refusal_that_began_it() {
        assert_eq!(windows(&refusals(&[(0, 1), (1, 1), (999, 5), (1000, 2), (2999, 1), (3000, 1)])), [3, 2, 1]);
        assert_eq!(windows(&[]), [0; 0]);
    }

    #[test]
    fn the_worst_account_counts() {
        let all = [("a".to_owned(), refusals(&[(0, 1), (1, 1), (1000, 1)])), ("b".to_owned(), refusals(&[(0, 1)]))];
        assert_eq!(worst_windows(&all.into()), (2, 1));
    }
}
