//! Rows 1 and 2: measures cases per second, compared with the peers, our own floor and the broker's ceiling.

use serde_json::json;

use super::Bench;
use crate::contestant::{Contestant, Role};
use crate::measure::{Job, Sample, measure};
use crate::output::{count, megabytes, progress, times};
use crate::report::{Check, RowResult};
use crate::stats::median;
use crate::target::order::Manner;

/// Cases of a batch.
const CASES: usize = 5;

/// The results of a contestant, and why it failed, if it did.
struct Outcome {
    contestant: Contestant,
    samples: Vec<Sample>,
    failure: Option<String>,
}

pub(super) async fn at_once(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let outcomes = contest(bench, Manner::default(), |_| true).await?;
    let mut row = table(bench, 1, "one account, the target answers at once", &outcomes);
    row.checks.push(ratio(&outcomes, "cases/s over the best peer", 2.0, best(&outcomes, Role::Peer)));
    row.checks.push(ratio(&outcomes, "cases/s over our own floor", 1.5, best(&outcomes, Role::Floor)));
    let share = best(&outcomes, Role::Worker).zip(best(&outcomes, Role::Ceiling)).map(|(own, all)| own / all);
    row.checks
        .push(Check::told("share of the AMQP-only ceiling", share.map(|share| format!("{:.0} %", share * 100.0))));
    row.checks.push(nothing_twice(&outcomes));
    Ok(row)
}

pub(super) async fn slow_and_faulty(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let manner = Manner { latency_ms: 50, faults_percent: 5, ..Manner::default() };
    let outcomes = contest(bench, manner, |role| role != Role::Ceiling).await?;
    let mut row = table(bench, 2, "one account, the target takes 50 ms, 5 % first-try 503 before commit", &outcomes);
    row.checks.push(ratio(&outcomes, "cases/s over the best peer", 3.0, best(&outcomes, Role::Peer)));
    let limit = bench.limits.in_flight;
    let most = worker(&outcomes).map(|own| own.samples.iter().map(|s| s.report.most_at_once).max().unwrap_or(0));
    let what = format!("requests of the worker at once, at most {limit}");
    row.checks.push(Check::judged(&what, most.map(|most| (most.to_string(), most <= limit))));
    row.checks.push(nothing_twice(&outcomes));
    Ok(row)
}

async fn contest(bench: &mut Bench<'_>, manner: Manner, wanted: impl Fn(Role) -> bool) -> anyhow::Result<Vec<Outcome>> {
    let limits = bench.limits;
    let job = Job {
        batches: limits.size(20_000, 1_000),
        cases: CASES,
        tenants: 1,
        burst: 1,
        store_url: None,
        span: limits.span(),
        prefetch: limits.prefetch,
        in_flight: limits.in_flight,
        manner,
    };
    let contestants = bench.contestants.iter().filter(|contestant| wanted(contestant.role)).cloned();
    let mut outcomes: Vec<Outcome> =
        contestants.map(|contestant| Outcome { contestant, samples: vec![], failure: None }).collect();
    for run in 1..=limits.runs() {
        for outcome in &mut outcomes {
            match measure(bench.neighbours, &outcome.contestant, &job).await {
                Ok(sample) => {
                    let told = format!("{} cases/s", count(sample.cases_per_second));
                    progress(&format!("run {run}: {:<24} {told}", outcome.contestant.name));
                    outcome.samples.push(sample);
                }
                Err(error) => {
                    progress(&format!("run {run}: {:<24} failed: {error:#}", outcome.contestant.name));
                    outcome.failure = Some(format!("{error:#}").lines().next().unwrap_or_default().to_owned());
                }
            }
        }
    }
    Ok(outcomes)
}

fn table(bench: &Bench, number: u8, scenario: &str, outcomes: &[Outcome]) -> RowResult {
    let limits = &bench.limits;
    let mut row = RowResult::new(number, scenario, limits.runs());
    row.header = [
        "contestant",
        "cases/s (median)",
        "from",
        "to",
        "batches in a request",
        "most requests at once",
        "CPU s per 1,000 batches",
        "peak memory, MB",
        "the broker's CPU s",
        "the target's CPU s",
        "duplicates",
    ]
    .map(str::to_owned)
    .into();
    row.lines = outcomes.iter().map(|outcome| line(outcome, number == 2)).collect();
    for (name, what) in &bench.missing {
        row.lines.push([(*name).to_owned(), "missing".to_owned()].into());
        row.notes.push(format!("{name} was not measured: {what}."));
    }
    for outcome in outcomes {
        if let Some(failure) = &outcome.failure {
            row.notes.push(format!("{} failed: {failure}", outcome.contestant.name));
        }
    }
    row.notes.push(format!("Prefetch {}, {} requests at once.", limits.prefetch, limits.in_flight));
    row.samples = outcomes.iter().map(|o| (o.contestant.name.to_owned(), json!(o.samples))).collect();
    row
}

/// Returns the line of a contestant. Concurrent requests are shown only if requests take time, because only then can
/// several be in flight.
fn line(outcome: &Outcome, takes_time: bool) -> Vec<String> {
    let middle = |figure: fn(&Sample) -> f64| median(&figures(outcome, figure));
    let speeds = figures(outcome, |sample| sample.cases_per_second);
    let (slowest, fastest) = (speeds.iter().copied().reduce(f64::min), speeds.iter().copied().reduce(f64::max));
    let posts = outcome.contestant.role != Role::Ceiling;
    let told = |figure: Option<f64>, form: fn(f64) -> String| figure.map_or_else(|| "–".to_owned(), form);
    let if_posts = |figure: Option<f64>, form| told(figure.filter(|_| posts), form);
    vec![
        outcome.contestant.name.to_owned(),
        told(median(&speeds), count),
        told(slowest, count),
        told(fastest, count),
        if_posts(middle(Sample::batches_in_a_request), |n| format!("{n:.1}")),
        if_posts(middle(|sample| sample.report.most_at_once as f64).filter(|_| takes_time), count),
        told(middle(|sample| sample.cpu_per_1000), |n| format!("{n:.2}")),
        told(middle(|sample| sample.peak_memory as f64), megabytes),
        told(middle(|sample| sample.broker_cpu_per_1000), |n| format!("{n:.2}")),
        if_posts(middle(|sample| sample.target_cpu_per_1000), |n| format!("{n:.2}")),
        if_posts(middle(|sample| sample.report.duplicates as f64), count),
    ]
}

fn figures(outcome: &Outcome, figure: impl Fn(&Sample) -> f64) -> Vec<f64> {
    outcome.samples.iter().map(figure).collect()
}

/// Returns the best median among the contestants of a role.
fn best(outcomes: &[Outcome], role: Role) -> Option<f64> {
    let of_role = outcomes.iter().filter(|outcome| outcome.contestant.role == role);
    of_role.filter_map(|outcome| median(&figures(outcome, |sample| sample.cases_per_second))).reduce(f64::max)
}

fn worker(outcomes: &[Outcome]) -> Option<&Outcome> {
    outcomes.iter().find(|outcome| outcome.contestant.role == Role::Worker)
}

fn ratio(outcomes: &[Outcome], what: &str, reach: f64, other: Option<f64>) -> Check {
    let ratio = best(outcomes, Role::Worker).zip(other).map(|(own, other)| own / other);
    Check::judged(&format!("{what}, at least {reach} x"), ratio.map(|ratio| (times(ratio), ratio >= reach)))
}

fn nothing_twice(outcomes: &[Outcome]) -> Check {
    let twice = worker(outcomes).map(|own| own.samples.iter().map(|sample| sample.report.duplicates).sum::<u64>());
    Check::judged("cases that the worker created twice, none", twice.map(|twice| (twice.to_string(), twice == 0)))
}
