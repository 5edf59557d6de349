//! Evaluates the alerts as Prometheus does, over what a worker shows at `/metrics`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::panic::Location;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use testmo_courier::clock::Clock;
use tokio::time::sleep;

use super::desk::Desk;
use crate::support::process::Process;
use crate::watching::{RULES, rules, words};

/// How long an alert may take to change, and how long is waited between two evaluations: promtool takes long.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// What a worker shows, by series; nothing if it does not answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scrape(Option<BTreeMap<String, f64>>);

impl Scrape {
    /// Reads the series that rules name from a worker.
    pub(super) fn of(worker: &Process) -> Self {
        let rules = rules();
        let named: BTreeSet<&str> = words(&rules).filter(|word| word.starts_with("testmo_courier_")).collect();
        let now = Clock::system().now() as f64 / 1_000.0;
        let read = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let name = series.split('{').next()?;
            let value: f64 = value.parse().ok().filter(|_| named.contains(name))?;
            // The tests of rules begin in 1970.
            let is_time = name.ends_with("_timestamp_seconds") && value > 0.0;
            Some((series.to_owned(), if is_time { (value - now).round() } else { value }))
        };
        Self(worker.get("/metrics").map(|text| text.lines().filter_map(read).collect()))
    }

    /// Returns what Prometheus has of a worker that does not answer.
    pub(super) fn none() -> Self {
        Self(None)
    }

    fn value(&self, series: &str) -> String {
        let value = self.0.as_ref().and_then(|of| of.get(series));
        value.map_or("_".to_owned(), f64::to_string)
    }
}

/// Returns a series as it is written in a test of rules, with the labels that Prometheus adds.
fn scraped(series: &str) -> String {
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let comma = if labels == "}" { "" } else { ", " };
    format!("{name}{{job=\"testmo-courier\", instance=\"a\"{comma}{labels}")
}

/// Has promtool evaluate all rules over five minutes as before and an hour as now, and expects of each alert that it has fired,
/// or that it has not.
fn evaluate(alerts: &[&str], before: &Scrape, now: &Scrape, has_fired: bool) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = RULES.map(|name| root.join(name).display().to_string()).join(", ");
    let mut test =
        format!("rule_files: [{files}]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n");
    let mut series: BTreeSet<&str> = BTreeSet::new();
    series.extend(
        [before, now].into_iter().filter_map(|scrape| scrape.0.as_ref()).flatten().map(|(name, _)| name.as_str()),
    );
    let is_up = |scrape: &Scrape| u8::from(scrape.0.is_some());
    let mut add = |series: &str, before: &str, now: &str| {
        writeln!(test, "      - series: '{series}'\n        values: '{before}x4 {now}x59'").expect("text");
    };
    add(&scraped("up"), &is_up(before).to_string(), &is_up(now).to_string());
    for name in series {
        add(&scraped(name), &before.value(name), &now.value(name));
    }
    test.push_str("    promql_expr_test:\n");
    for alert in alerts {
        let fired = format!("max_over_time(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}}[2h])");
        let samples = if has_fired { "[{labels: '{}', value: 1}]" } else { "[]" };
        let expression = format!("clamp_max(count({fired}), 1)");
        writeln!(test, "      - expr: '{expression}'\n        eval_time: 64m\n        exp_samples: {samples}")
            .expect("text");
    }
    let path = folder.path().join("test.yml");
    std::fs::write(&path, &test).expect("a file");
    let output = Command::new("promtool").args(["test", "rules"]).arg(path).output().expect("promtool");
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{}\n{test}", String::from_utf8_lossy(&said)))
}

/// Waits until the worker shows something by which each of these alerts fires, if it showed `before` until now.
#[track_caller]
pub(super) fn until_firing(desk: &Desk, alerts: &[&str], before: &Scrape) -> impl Future<Output = ()> {
    until_evaluated(desk, move |now| evaluate(alerts, before, now, true))
}

/// Waits until the worker shows something by which none of these alerts fires, as long as it does not change.
#[track_caller]
pub(super) fn until_silent(desk: &Desk, alerts: &[&str]) -> impl Future<Output = ()> {
    until_evaluated(desk, move |now| evaluate(alerts, now, now, false))
}

/// Evaluates what the worker shows, again whenever that has changed, until the result is as wanted.
#[track_caller]
fn until_evaluated(desk: &Desk, evaluate: impl Fn(&Scrape) -> Result<(), String>) -> impl Future<Output = ()> {
    let last: RefCell<Option<(Scrape, Result<(), String>)>> = RefCell::default();
    until_ok(async move || {
        let (now, mut last) = (desk.scrape(), last.borrow_mut());
        if let Some((_, result)) = last.as_ref().filter(|(seen, _)| *seen == now) {
            return result.clone();
        }
        let result = tokio::task::block_in_place(|| evaluate(&now));
        *last = Some((now, result.clone()));
        result
    })
}

/// Waits until a check succeeds; if it does not, the test fails with what the last check said.
#[track_caller]
fn until_ok(check: impl AsyncFn() -> Result<(), String>) -> impl Future<Output = ()> {
    let (place, begin) = (Location::caller(), Instant::now());
    async move {
        while let Err(said) = check().await {
            assert!(begin.elapsed() < PATIENCE, "{place}: after {PATIENCE:?}: {said}");
            sleep(PAUSE).await;
        }
    }
}
