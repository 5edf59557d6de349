//! Measures a contestant's speed: batches wait in the queue, the contestant starts, and time counts from its first
//! request.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use testmo_courier::config::Config;

use crate::bus::Bus;
use crate::contestant::{Contestant, Role};
use crate::message::{Draft, Form, draft};
use crate::neighbours::Neighbours;
use crate::stage::{Stage, Wishes};
use crate::target::order::{Manner, Report};
use crate::usage::Usage;
use crate::worker::{API_KEY, FOLDER, PROJECT};

/// The pause between two checks whether a measurement is over.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// How long a contestant may take from its start to its first request.
const STARTS: Duration = Duration::from_secs(60);

/// A measurement to make.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) batches: usize,
    /// The number of cases of each batch.
    pub(crate) cases: usize,
    /// The number of tenants, each with its own account; they take turns to publish `burst` batches.
    pub(crate) tenants: usize,
    pub(crate) burst: usize,
    /// The URL of the worker's store; `None` for an SQLite file.
    pub(crate) store_url: Option<String>,
    /// The longest time of a measurement, which ends earlier if all batches are done.
    pub(crate) span: Duration,
    pub(crate) prefetch: usize,
    pub(crate) in_flight: usize,
    pub(crate) manner: Manner,
}

/// The result of a measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Batches done: with their event, if the contestant publishes one.
    pub(crate) batches: f64,
    /// Batches whose cases were created.
    pub(crate) batches_created: f64,
    pub(crate) seconds: f64,
    pub(crate) cases_per_second: f64,
    /// Processor time of the contestant for 1,000 batches, in seconds.
    pub(crate) cpu_per_1000: f64,
    /// Processor time of the broker for 1,000 batches, in seconds.
    pub(crate) broker_cpu_per_1000: f64,
    /// Processor time of the target for 1,000 batches, in seconds.
    pub(crate) target_cpu_per_1000: f64,
    /// The contestant's peak memory, in bytes.
    pub(crate) peak_memory: u64,
    /// The report of the target.
    pub(crate) report: Report,
}

impl Sample {
    /// Returns the mean number of batches in a create request that was carried out.
    pub(crate) fn batches_in_a_request(&self) -> f64 {
        let served = self.report.answers.get(&201).copied().unwrap_or(0);
        self.batches_created / served.max(1) as f64
    }
}

impl Job {
    /// Returns the tenants, which have the names of their accounts.
    pub(crate) fn tenants(&self) -> Vec<String> {
        (0..self.tenants).map(|number| format!("t{number:05}")).collect()
    }

    /// Returns every batch in the order of its publication.
    fn drafts(&self, form: Form) -> impl Iterator<Item = Draft> {
        let (tenants, burst, cases) = (self.tenants(), self.burst, self.cases);
        (0..self.batches).map(move |number| draft(form, &tenants[number / burst % tenants.len()], number, cases))
    }

    /// Returns the worker's settings.
    pub(crate) fn wishes(&self) -> Wishes {
        Wishes {
            store_url: self.store_url.clone(),
            prefetch: self.prefetch,
            in_flight: self.in_flight,
            max_cases: None,
            tenants: self.tenants(),
        }
    }
}

/// Measures one contestant once.
pub(crate) async fn measure(neighbours: &mut Neighbours, contestant: &Contestant, job: &Job) -> anyhow::Result<Sample> {
    measure_beside(neighbours, contestant, job, &[], async |_| Ok(())).await
}

/// Measures one contestant once. A worker is started with these variables as well, and from then on something else goes on beside it,
/// which gets the worker's configuration.
pub(crate) async fn measure_beside(
    neighbours: &mut Neighbours,
    contestant: &Contestant,
    job: &Job,
    variables: &[(&str, String)],
    beside: impl AsyncFnOnce(Config) -> anyhow::Result<()>,
) -> anyhow::Result<Sample> {
    neighbours.behave(job.manner.clone()).await?;
    let mut stage = Stage::set(neighbours, &job.wishes()).await?;
    stage.bus.fill(job.drafts(contestant.form)).await?;
    start(&mut stage, contestant, job, variables)?;
    let config = stage.setup.config.clone();
    let watched = tokio::select! {
        watched = watch(neighbours, contestant, job, &mut stage) => watched,
        Err(error) = beside(config) => Err(error),
    };
    stage.strike(neighbours).await?;
    watched
}

fn start(stage: &mut Stage, contestant: &Contestant, job: &Job, variables: &[(&str, String)]) -> anyhow::Result<()> {
    match contestant.role {
        Role::Worker => {
            let arguments = stage.setup.arguments();
            stage.start(contestant, &arguments, variables)
        }
        Role::Storeless => stage.start_worker(contestant),
        Role::Peer | Role::Floor | Role::Ceiling => {
            let settings = settings(stage, job);
            stage.start(contestant, &[], &settings)
        }
    }
}

/// Returns the settings of peers.
fn settings(stage: &Stage, job: &Job) -> Vec<(&'static str, String)> {
    let origin = stage.origins.first().map_or("", String::as_str);
    let amqp = &stage.setup.config.amqp;
    vec![
        ("AMQP_URL", amqp.url.clone()),
        ("CASES_QUEUE", amqp.cases_queue.clone()),
        ("EVENTS_EXCHANGE", amqp.events_exchange.clone()),
        ("CASES_URL", format!("{origin}/api/v1/projects/{PROJECT}/cases")),
        ("API_KEY", API_KEY.to_owned()),
        ("FOLDER_ID", FOLDER.to_string()),
        ("PREFETCH", job.prefetch.to_string()),
        ("IN_FLIGHT", job.in_flight.to_string()),
    ]
}

/// The sources that show a contestant's progress.
struct Sight<'a> {
    contestant: &'a Contestant,
    cases: usize,
    bus: &'a Bus,
}

impl Sight<'_> {
    /// Returns when the contestant began to work, if it has begun; `idle` is a time at which it had not begun.
    async fn begun(&self, neighbours: &mut Neighbours, idle: Instant) -> anyhow::Result<Option<Instant>> {
        if self.contestant.role == Role::Ceiling {
            return Ok((self.bus.events_ready().await? > 0).then_some(idle));
        }
        let first = neighbours.report().await?.first_create;
        Ok(first.and_then(|at| Instant::now().checked_sub(since(at))))
    }

    /// Returns how many batches are done.
    async fn done(&self, neighbours: &mut Neighbours) -> anyhow::Result<f64> {
        let created = neighbours.report().await?.cases as f64 / self.cases as f64;
        if !self.contestant.announces {
            return Ok(created);
        }
        let announced = self.bus.events_ready().await? as f64;
        Ok(if self.contestant.role == Role::Ceiling { announced } else { announced.min(created) })
    }
}

async fn watch(
    neighbours: &mut Neighbours,
    contestant: &Contestant,
    job: &Job,
    stage: &mut Stage,
) -> anyhow::Result<Sample> {
    let Stage { bus, running, .. } = stage;
    let running = running.first_mut().context("a contestant that runs")?;
    let sight = Sight { contestant, cases: job.cases, bus };
    let deadline = Instant::now() + STARTS;
    let (start, before) = loop {
        let (idle, before) = (Instant::now(), (running.usage(), neighbours.usage()));
        if let Some(start) = sight.begun(neighbours, idle).await? {
            break (start, before);
        }
        anyhow::ensure!(Instant::now() < deadline, "it does nothing:\n{}", running.tail());
        running.check()?;
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    let mut done = sight.done(neighbours).await?;
    while done < job.batches as f64 && start.elapsed() < job.span {
        running.check()?;
        tokio::time::sleep(POLL_INTERVAL).await;
        done = sight.done(neighbours).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let (after, report) = ((running.usage(), neighbours.usage()), neighbours.report().await?);
    let per_1000 = |from: Usage, to: Usage| (to.cpu - from.cpu) * 1000.0 / done.max(1.0);
    Ok(Sample {
        batches: done,
        batches_created: report.cases as f64 / job.cases as f64,
        seconds,
        cases_per_second: done * job.cases as f64 / seconds,
        cpu_per_1000: per_1000(before.0, after.0),
        broker_cpu_per_1000: per_1000(before.1.broker, after.1.broker),
        target_cpu_per_1000: per_1000(before.1.target, after.1.target),
        peak_memory: after.0.peak_memory,
        report,
    })
}

/// Returns how long ago a time of the target was.
fn since(at: i64) -> Duration {
    let now = jiff::Timestamp::now().as_microsecond();
    Duration::from_micros(u64::try_from(now - at).unwrap_or(0))
}
