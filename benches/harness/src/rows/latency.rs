//! Row 6: measures how much later than a bare POST a batch is delivered in an idle system.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::Bench;
use crate::contestant::{Contestant, storeless};
use crate::listener::Listener;
use crate::message::{Form, batch_id, draft};
use crate::output::{milliseconds, progress};
use crate::report::{Check, RowResult};
use crate::stage::{Stage, Wishes};
use crate::stats::{median, percentile};
use crate::target::order::Manner;
use crate::worker::{API_KEY, FOLDER, PROJECT};

/// The tenant.
const TENANT: &str = "acme";
/// Cases of a batch.
const CASES: usize = 5;
/// How much longer than a bare POST a batch may take, in milliseconds.
const MORE: f64 = 5.0;
/// The pause between two measurements, so that the system is idle again.
const REST: Duration = Duration::from_millis(20);
/// Discarded measurements, during which connections are opened.
const WARM_UP: usize = 10;

/// Milliseconds, one figure for each measurement.
#[derive(Default)]
struct Times {
    bare: Vec<f64>,
    /// The time of an event that no contestant handles: the broker's time for one message.
    hop: Vec<f64>,
    created: Vec<f64>,
    delivered: Vec<f64>,
}

pub(super) async fn run(bench: &mut Bench<'_>) -> anyhow::Result<RowResult> {
    let worker = bench.worker()?;
    let measured = bench.limits.size(400, 50);
    let with = one_by_one(bench, &worker, measured).await?;
    let without = one_by_one(bench, &storeless(&worker)?, measured).await?;
    let mut row = RowResult::new(6, "one batch into an idle system", 1);
    row.header = ["", "p50", "p99"].map(str::to_owned).into();
    row.lines = vec![
        line("bare POST, answered", &with.bare),
        line("batch, publish to created in Testmo", &with.created),
        line("batch, publish to delivered (event received)", &with.delivered),
        line("the same by a worker without a store", &without.delivered),
        line("one message through the broker, publish to received", &with.hop),
    ];
    let more = median(&with.delivered).zip(median(&with.bare)).map(|(batch, bare)| batch - bare);
    progress(&format!("{} more than a bare POST", more.map(milliseconds).unwrap_or_default()));
    row.checks.push(Check::judged(
        &format!("p50 of publish to delivered over a bare POST, at most {MORE} ms more"),
        more.map(|more| (format!("{} more", milliseconds(more)), more <= MORE)),
    ));
    row.notes.push(format!(
        "{measured} batches and as many POSTs of the same size, in turn, each after {} ms of rest: one run of \
         interleaved measurements. A batch is two messages for the broker, each of which it syncs to disk before it \
         passes it on, and two commits for the store.",
        REST.as_millis()
    ));
    let samples = [
        ("bare", with.bare),
        ("created", with.created),
        ("delivered", with.delivered),
        ("delivered without a store", without.delivered),
        ("one message", with.hop),
    ];
    row.samples = samples.map(|(name, times)| (name.to_owned(), json!(times))).into();
    Ok(row)
}

async fn one_by_one(bench: &mut Bench<'_>, worker: &Contestant, measured: usize) -> anyhow::Result<Times> {
    bench.neighbours.behave(Manner::default()).await?;
    let wishes = Wishes {
        store_url: None,
        prefetch: bench.limits.prefetch,
        in_flight: bench.limits.in_flight,
        max_cases: None,
        tenants: vec![TENANT.to_owned()],
    };
    let mut stage = Stage::set(bench.neighbours, &wishes).await?;
    let listener = Listener::start(stage.bus.events().await?);
    stage.start_worker(worker)?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/api/v1/projects/{PROJECT}/cases", bench.neighbours.origin("bare"));
    let mut times = Times::default();
    for number in 0..WARM_UP + measured {
        tokio::time::sleep(REST).await;
        let posted = post(&client, &url, number).await?;
        tokio::time::sleep(REST).await;
        let passed = pass(&stage, &listener, number).await?;
        tokio::time::sleep(REST).await;
        let began = jiff::Timestamp::now().as_microsecond();
        let taken = deliver(&stage, &listener, number).await?;
        let at = bench.neighbours.report().await?.last_case.context("a case")?;
        if number >= WARM_UP {
            times.bare.push(posted.as_secs_f64() * 1e3);
            times.hop.push(passed.as_secs_f64() * 1e3);
            times.created.push((at - began) as f64 / 1e3);
            times.delivered.push(taken.as_secs_f64() * 1e3);
        }
    }
    stage.strike(bench.neighbours).await?;
    Ok(times)
}

async fn post(client: &reqwest::Client, url: &str, number: usize) -> anyhow::Result<Duration> {
    let name = |case: usize| format!("Bare case {case} of request {number}");
    let step = json!({"text1": "<p>Choose the card that ends in 4242</p>", "text3": "<p>The bank asks</p>"});
    let case = |case| json!({"name": name(case), "folder_id": FOLDER, "custom_steps": [step, step, step]});
    let body = json!({"cases": (0..CASES).map(case).collect::<Vec<_>>()});
    let began = Instant::now();
    let answer = client.post(url).bearer_auth(API_KEY).json(&body).send().await?;
    let answer = answer.error_for_status()?;
    answer.bytes().await?;
    Ok(began.elapsed())
}

/// Returns how long the broker takes for one message.
async fn pass(stage: &Stage, listener: &Listener, number: usize) -> anyhow::Result<Duration> {
    let subject = format!("message {number}");
    let began = Instant::now();
    let confirm = stage.bus.tell(&subject).await?;
    let arrived = listener.delivered(&[subject], began + Duration::from_secs(30)).await;
    confirm.await?;
    Ok(arrived.first().copied().flatten().context("a message that did not arrive")? - began)
}

async fn deliver(stage: &Stage, listener: &Listener, number: usize) -> anyhow::Result<Duration> {
    let draft = draft(Form::Plain, TENANT, number, CASES);
    let subject = format!("{TENANT}/{}", batch_id(number));
    let began = Instant::now();
    let confirm = stage.bus.send(&draft).await?;
    let arrived = listener.delivered(&[subject], began + Duration::from_secs(30)).await;
    confirm.await?;
    let at = arrived.first().copied().flatten();
    Ok(at.with_context(|| format!("a batch was not delivered:\n{}", stage.tail().unwrap_or_default()))? - began)
}

fn line(name: &str, figures: &[f64]) -> Vec<String> {
    let at = |percent| percentile(figures, percent).map(milliseconds).unwrap_or_default();
    vec![name.to_owned(), at(50.0), at(99.0)]
}
