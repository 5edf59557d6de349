//! Row 14: how long does a page of the console take with a large store, and what do open pages cost the worker?

mod delivery;
mod open_pages;
mod places;
mod visitor;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;
use testmo_courier::app::access::create_link;
use testmo_courier::app::shelf::{self, ShelfFilter, ShelfState};
use testmo_courier::batch::TenantId;
use testmo_courier::clock::Clock;
use testmo_courier::store::trend::{Addition, Counts, Width};
use testmo_courier::store::{Store, StoreHealth, TrendStore};

use self::open_pages::{OPEN, Refreshes, keep_open};
use self::places::{Known, LISTS, PAGES};
use self::visitor::Visitor;
use super::Bench;
use super::growth::{free_address, stage, start_with, strike};
use super::large::names::tenant_number;
use super::large::seed::{self, Disk, Size};
use super::support::{anna, plan_by_command};
use crate::output::{count, megabytes, milliseconds, progress};
use crate::report::{Check, RowResult};
use crate::stage::Stage;
use crate::stats::percentile;

/// The longest time that 99 of 100 answers to a question may take, in milliseconds.
const LONGEST_ANSWER_MS: f64 = 100.0;
/// The most bytes of the first page with everything that it loads.
const MOST_BYTES: usize = 60_000;
/// The most memory that open pages may take, in bytes.
const MOST_MEMORY: f64 = 10.0 * 1_048_576.0;
/// The largest share of the delivery rate that open pages may cost.
const MOST_LOST: f64 = 0.05;
/// How often each question is asked before it is measured, and how often then.
const WARM_UP: u64 = 10;
const ROUNDS: u64 = 100;
/// The variable that sets where the console is served.
const LISTEN: &str = "COURIER_ADMIN__LISTEN";

/// How long the answers to a question took.
#[derive(Clone, Debug, Serialize)]
struct Asked {
    what: String,
    /// The median, in milliseconds.
    median: f64,
    /// The time of 99 of 100, in milliseconds.
    p99: f64,
    /// The length of the longest answer.
    bytes: usize,
}

/// What was measured on one kind of store.
#[derive(Clone, Debug, Serialize)]
struct OnStore {
    store: &'static str,
    bytes_on_disk: u64,
    bytes_per_record: f64,
    asked: Vec<Asked>,
    first_page: usize,
    /// The worker's peak memory without the console, and with open pages, in bytes.
    memory: (u64, u64),
    /// How long the pages took that were open, in milliseconds.
    refreshes: Vec<f64>,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let size = Size::of(bench.limits, (5_000_000, 10_000), (200_000, 2_000));
    let mut measured = Vec::new();
    for store in ["SQLite", "PostgreSQL"] {
        progress(&format!("\n{store}"));
        measured.push(measure(bench, store, &size).await?);
    }
    let delivered = delivery::measure(bench).await?;
    let scenario = format!(
        "{} batches and {} dead: groups, lists, find, console pages",
        count(size.delivered as f64),
        count(size.dead as f64)
    );
    let mut row = RowResult::new(14, &scenario, bench.limits.runs());
    row.header = std::iter::once("what".to_owned())
        .chain(measured.iter().flat_map(|on| [format!("{}, median", on.store), "p99".into(), "kB".into()]))
        .collect();
    row.lines = lines(&measured);
    row.checks = measured.iter().flat_map(checks).chain([delivered.check(MOST_LOST)]).collect();
    row.notes = measured.iter().map(note).collect();
    row.notes.push(delivered.told());
    row.notes.push(format!(
        "Each question is asked {ROUNDS} times over HTTP after {WARM_UP} times that do not count, with other tenants, batches and \
         entries each time, by one client. Of the batches, {} have their request, their event and their names in the search.",
        count(size.with_events as f64)
    ));
    row.samples = measured.iter().map(|on| (on.store.to_owned(), json!(on))).collect();
    row.samples.insert("delivery".into(), json!(delivered));
    Ok(row)
}

async fn measure(bench: &mut Bench<'_>, name: &'static str, size: &Size) -> anyhow::Result<OnStore> {
    let on_postgres = name == "PostgreSQL";
    let mut stage = stage(bench, on_postgres, places::tenants()).await?;
    let store = Store::open(&stage.setup.config.store, false, Clock::system()).await?;
    let (began, now) = (Instant::now(), store.now());
    let disk = seed::fill(&stage, &store, size, now).await?;
    fill_trend(&store).await?;
    progress(&format!("filled in {:.0} s, {}", began.elapsed().as_secs_f64(), disk.told()));
    let (_, _, replay) = plan_by_command(bench, &stage, &store).await?;
    let known = known(&store, size, now, replay).await?;
    let on = ask(bench, &mut stage, &store, &known, name, disk).await?;
    store.close().await;
    strike(bench, stage, on_postgres).await?;
    Ok(on)
}

/// Adds numbers to each column of the plots.
async fn fill_trend(store: &Store) -> anyhow::Result<()> {
    let counts = Counts { delivered: 123_456, failed: 7_890, waiting: 54_321 };
    let ages = [(1_800_000, 48), (Width::Coarse.kept_ms() / 30, 30)]
        .into_iter()
        .flat_map(|(width, columns)| (0..columns).map(move |back| back * width));
    for (number, age) in (1..).zip(ages) {
        let addition = Addition { source: "an earlier worker".into(), number, at: store.now() - age, counts };
        store.add_to_trend(&addition).await?;
    }
    Ok(())
}

/// Reads and makes what pages are asked for by.
async fn known<'a>(
    store: &Store,
    size: &'a Size,
    now: i64,
    replay: testmo_courier::app::replays::ReplayId,
) -> anyhow::Result<Known<'a>> {
    let dead = ShelfFilter { state: Some(ShelfState::Dead), ..ShelfFilter::default() };
    let entries = shelf::list(store, &dead, 500).await?;
    let tenant: TenantId = tenant_number(7).parse()?;
    let link = create_link(store, &anna(), &tenant, 30).await?.secret;
    Ok(Known { size, now, entries: entries.iter().map(|entry| entry.id.to_string()).collect(), replay, link })
}

async fn ask(
    bench: &Bench<'_>,
    stage: &mut Stage,
    store: &Store,
    known: &Known<'_>,
    name: &'static str,
    disk: Disk,
) -> anyhow::Result<OnStore> {
    let watched = Duration::from_secs(if bench.limits.quick { 12 } else { 60 });
    start_with(bench, stage, vec![]).await?;
    tokio::time::sleep(watched).await;
    let without = end(stage).await?;
    let address = free_address()?;
    start_with(bench, stage, vec![(LISTEN, address.to_string())]).await?;
    let (visitor, refreshes) = (Visitor::enter(store, address).await?, Refreshes::default());
    tokio::select! {
        ended = keep_open(&visitor, &refreshes) => ended?,
        () = tokio::time::sleep(watched) => {}
    }
    let with = stage.running.first().context("a worker that runs")?.usage().peak_memory;
    progress(&format!(
        "{} MB without the console, {} MB with open pages",
        megabytes(without as f64),
        megabytes(with as f64)
    ));
    let first_page = first_page(&visitor).await?;
    let mut asked = Vec::new();
    for (what, path) in PAGES.iter().chain(LISTS) {
        let what = if path.contains("/api/") { format!("API: {what}") } else { (*what).to_owned() };
        asked.push(ask_often(&visitor, known, what, path).await?);
        stage.check()?;
    }
    end(stage).await?;
    Ok(OnStore {
        store: name,
        bytes_on_disk: disk.whole,
        bytes_per_record: disk.per_record,
        asked,
        first_page,
        memory: (without, with),
        refreshes: refreshes.taken(),
    })
}

/// Ends the worker of a stage, and returns its peak memory in bytes.
async fn end(stage: &mut Stage) -> anyhow::Result<u64> {
    let running = stage.running.pop().context("a worker that runs")?;
    let peak = running.usage().peak_memory;
    running.end().await;
    Ok(peak)
}

async fn ask_often(visitor: &Visitor, known: &Known<'_>, what: String, path: &str) -> anyhow::Result<Asked> {
    let (mut times, mut bytes) = (Vec::new(), 0);
    for round in 0..WARM_UP + ROUNDS {
        let answer = visitor.get(&known.filled(path, round)?).await?;
        if round >= WARM_UP {
            times.push(answer.took.as_secs_f64() * 1e3);
            bytes = bytes.max(answer.text.len());
        }
    }
    let at = |percent| percentile(&times, percent).unwrap_or(f64::NAN);
    let (median, p99) = (at(50.0), at(99.0));
    progress(&format!("{what:<48} {:>12} {:>12} {bytes:>8}", milliseconds(median), milliseconds(p99)));
    Ok(Asked { what, median, p99, bytes })
}

/// Returns how many bytes the first page has with everything that it loads, as it is sent.
///
/// # Errors
/// When it loads something from elsewhere.
async fn first_page(visitor: &Visitor) -> anyhow::Result<usize> {
    let page = visitor.get("/").await?.text;
    let tags = page.split('<').filter(|tag| ["link ", "script ", "img "].iter().any(|name| tag.starts_with(name)));
    let loaded: BTreeSet<&str> =
        tags.flat_map(|tag| [" href=\"", " src=\""].map(|name| tag.split(name).nth(1))).flatten().collect();
    let mut bytes = visitor.sent("/").await?;
    for address in loaded.iter().filter_map(|rest| rest.split('"').next()) {
        anyhow::ensure!(address.starts_with("/assets/"), "the first page loads {address}");
        bytes += visitor.sent(address).await?;
    }
    Ok(bytes)
}

fn lines(measured: &[OnStore]) -> Vec<Vec<String>> {
    let Some(first) = measured.first() else { return Vec::new() };
    let line = |(at, asked): (usize, &Asked)| {
        let of = |on: &OnStore| {
            let asked = &on.asked[at];
            [milliseconds(asked.median), milliseconds(asked.p99), format!("{:.1}", asked.bytes as f64 / 1e3)]
        };
        std::iter::once(asked.what.clone()).chain(measured.iter().flat_map(of)).collect()
    };
    first.asked.iter().enumerate().map(line).collect()
}

fn checks(on: &OnStore) -> Vec<Check> {
    let store = on.store;
    let slowest = on.asked.iter().max_by(|one, other| one.p99.total_cmp(&other.p99));
    let more = on.memory.1 as f64 - on.memory.0 as f64;
    vec![
        Check::judged(
            &format!("{store}: p99 of the slowest question, under {LONGEST_ANSWER_MS} ms"),
            slowest
                .map(|asked| (format!("{} ({})", milliseconds(asked.p99), asked.what), asked.p99 < LONGEST_ANSWER_MS)),
        ),
        Check::judged(
            &format!("{store}: the first page with all that it loads, at most {} kB", MOST_BYTES / 1_000),
            Some((format!("{:.1} kB", on.first_page as f64 / 1e3), on.first_page <= MOST_BYTES)),
        ),
        Check::judged(
            &format!("{store}: memory more with {OPEN} open pages, at most 10 MB"),
            Some((format!("{} MB", megabytes(more.max(0.0))), more <= MOST_MEMORY)),
        ),
    ]
}

fn note(on: &OnStore) -> String {
    let p99 = percentile(&on.refreshes, 99.0).map_or_else(|| "none".to_owned(), milliseconds);
    format!(
        "{}: {:.2} GB on the disk; {:.0} bytes for each batch of which the record alone is kept, with its part of the indexes. \
         {} refreshes of {OPEN} open pages, p99 {p99}.",
        on.store,
        on.bytes_on_disk as f64 / 1e9,
        on.bytes_per_record,
        on.refreshes.len(),
    )
}
