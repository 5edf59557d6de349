//! How is a plan carried out? Action by action at its time, then everything is healed and drained.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use testmo_courier::amqp::{Event, Outgoing};
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, CutAt, Fault, PathKind, RetryAfter, Rule};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::broker::Broker;
use crate::plan::{Action, Link, Misbehaviour, Plan, TENANTS};
use crate::stage::Stage;

/// What was published and what was heard.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// By tenant and batch, the names of its cases.
    pub(crate) published: BTreeMap<(String, String), Vec<String>>,
    /// By subject, the bodies of every event.
    pub(crate) heard: BTreeMap<String, Vec<Value>>,
    /// What happened when, in milliseconds from the start.
    pub(crate) timeline: Vec<(u128, String)>,
}

/// The longest that draining may take.
const DRAIN: Duration = Duration::from_secs(90);

/// Carries out a plan, heals everything and waits until every batch is settled and announced.
pub(crate) async fn run(plan: &Plan, stage: &mut Stage, broker: &mut Broker) -> anyhow::Result<Record> {
    let mut record = Record::default();
    let start = Instant::now();
    let mut due: Vec<(Instant, Undo)> = Vec::new();
    for (at, action) in &plan.actions {
        loop {
            due.sort_by_key(|(at, _)| *at);
            match due.first() {
                Some((when, _)) if *when <= start + *at => {
                    let (when, undo) = due.remove(0);
                    sleep_until(when).await;
                    undo.carry_out(stage).await?;
                }
                Some(_) | None => break,
            }
        }
        sleep_until(start + *at).await;
        record.timeline.push((start.elapsed().as_millis(), format!("{action:?}")));
        if let Some((after, undo)) = carry_out(action, stage, broker, &mut record).await? {
            due.push((Instant::now() + after, undo));
        }
    }
    for (_, undo) in due {
        undo.carry_out(stage).await?;
    }
    heal(stage).await?;
    record.timeline.push((start.elapsed().as_millis(), "healed".into()));
    drain(stage, &mut record).await?;
    record.timeline.push((start.elapsed().as_millis(), "drained".into()));
    Ok(record)
}

enum Undo {
    Start(usize),
    Continue(usize),
    Flow(Link),
}

impl Undo {
    async fn carry_out(self, stage: &mut Stage) -> anyhow::Result<()> {
        match self {
            Self::Start(worker) => {
                if stage.workers[worker].child.is_none() {
                    stage.workers[worker].start()?;
                }
            }
            Self::Continue(worker) => stage.workers[worker].signal("CONT").await,
            Self::Flow(link) => proxy(stage, link).stall(false),
        }
        Ok(())
    }
}

fn proxy(stage: &Stage, link: Link) -> &crate::proxy::Proxy {
    match link {
        Link::Broker => &stage.broker_proxy,
        Link::Testmo => &stage.testmo_proxy,
    }
}

async fn carry_out(
    action: &Action,
    stage: &mut Stage,
    broker: &mut Broker,
    record: &mut Record,
) -> anyhow::Result<Option<(Duration, Undo)>> {
    match action {
        Action::Publish { tenant, batch, cases } => publish(stage, record, tenant, *batch, *cases).await?,
        Action::Kill { worker, away } => {
            stage.workers[*worker].kill().await;
            return Ok(Some((*away, Undo::Start(*worker))));
        }
        Action::Restart { worker } => {
            if stage.workers[*worker].child.is_some() {
                stage.workers[*worker].signal("CONT").await;
                stage.workers[*worker].end(Duration::from_secs(30)).await?;
                stage.workers[*worker].start()?;
            }
        }
        Action::Pause { worker, away } => {
            stage.workers[*worker].signal("STOP").await;
            return Ok(Some((*away, Undo::Continue(*worker))));
        }
        Action::CloseConnections => broker.close_connections().await?,
        Action::KillBroker => broker.kill_and_boot().await?,
        Action::Cut { link } => proxy(stage, *link).cut(),
        Action::Stall { link, away } => {
            proxy(stage, *link).stall(true);
            return Ok(Some((*away, Undo::Flow(*link))));
        }
        Action::Misbehave { tenant, how, times } => {
            let rule = Rule::always(fault(*how)).on(Method::Post, PathKind::Cases).times(*times);
            stage.testmo.account(tenant).add_fault(rule);
        }
    }
    Ok(None)
}

fn fault(how: Misbehaviour) -> Fault {
    match how {
        Misbehaviour::Error { status, after_commit: false } => Fault::status(status),
        Misbehaviour::Error { status, after_commit: true } => Fault::status_after_commit(status),
        Misbehaviour::Throttle { seconds } => Fault::throttled(Some(RetryAfter::Seconds(seconds))),
        Misbehaviour::Late { ms, commit_late: false } => Fault::Slow { ms, commit: CommitTime::BeforeDelay },
        Misbehaviour::Late { ms, commit_late: true } => Fault::Slow { ms, commit: CommitTime::AfterDelay },
        Misbehaviour::CutBefore => Fault::Cut { at: CutAt::BeforeCommit },
        Misbehaviour::CutAfter => Fault::Cut { at: CutAt::AfterCommit },
        Misbehaviour::HalfAnswer => Fault::Cut { at: CutAt::HalfBody },
        Misbehaviour::Garbage => Fault::Garbage,
        Misbehaviour::DropLast => Fault::DropLast,
    }
}

async fn publish(stage: &Stage, record: &mut Record, tenant: &str, batch: usize, cases: usize) -> anyhow::Result<()> {
    let id = format!("b-{batch}");
    // Some names are equal within a batch, as generators write them.
    let names: Vec<String> = (0..cases).map(|n| format!("{id} case {}", n - n % 7 / 6)).collect();
    let case = |(n, name): (usize, &String)| json!({"external_id": format!("TC-{n}"), "name": name});
    let body = json!({"schema_version": 1, "batch_id": id, "tenant_id": tenant,
        "generated_at": "2026-11-23T09:30:00Z", "cases": names.iter().enumerate().map(case).collect::<Vec<_>>()});
    let outgoing = Outgoing {
        exchange: stage.config.amqp.cases_exchange.clone(),
        routing_key: "batch".into(),
        body: body.to_string().into_bytes(),
        ..Outgoing::default()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    // As a generator does: again, until the broker has confirmed it.
    while let Err(error) = stage.publisher.publish(outgoing.clone()).await {
        anyhow::ensure!(Instant::now() < deadline, "publishing does not work any more: {error}");
        sleep(Duration::from_millis(100)).await;
    }
    record.published.insert((tenant.to_owned(), id), names);
    Ok(())
}

async fn heal(stage: &mut Stage) -> anyhow::Result<()> {
    for link in [Link::Broker, Link::Testmo] {
        proxy(stage, link).stall(false);
    }
    for tenant in TENANTS {
        stage.testmo.account(tenant).clear_faults();
    }
    for worker in &mut stage.workers {
        worker.signal("CONT").await;
        if worker.child.is_none() {
            worker.start()?;
        }
    }
    Ok(())
}

/// Waits until nothing is left to be done anywhere.
async fn drain(stage: &mut Stage, record: &mut Record) -> anyhow::Result<()> {
    let deadline = Instant::now() + DRAIN;
    loop {
        hear(stage, record).await?;
        let open = open(stage, record).await?;
        if open.is_empty() {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "not drained in time: {}", open.join("; "));
    }
}

/// Takes what events there are, for at most a short while.
async fn hear(stage: &mut Stage, record: &mut Record) -> anyhow::Result<()> {
    while let Ok(event) = timeout(Duration::from_millis(300), stage.events.next()).await {
        let Event::Delivery(delivery) = event.context("the events have ended")? else { continue };
        let body: Value = serde_json::from_slice(&delivery.message.body)?;
        let subject = body["subject"].as_str().unwrap_or_default().to_owned();
        record.heard.entry(subject).or_default().push(body);
        // An event that is not acknowledged comes again, and is counted as a copy.
        drop(delivery.handle.ack().await);
    }
    Ok(())
}

async fn open(stage: &Stage, record: &Record) -> anyhow::Result<Vec<String>> {
    let mut open = Vec::new();
    for (tenant, id) in record.published.keys() {
        let key = format!("{tenant}/{id}");
        let stored = stage.store.batch(&key.parse()?).await?;
        match stored.map(|stored| stored.record.state.name()) {
            None => open.push(format!("{key} is not known")),
            Some("open") => open.push(format!("{key} is open")),
            Some(_) if !record.heard.contains_key(&key) => open.push(format!("{key} is not announced")),
            Some(_) => {}
        }
    }
    let shelf = stage.store.shelf(&Default::default(), 10).await?;
    open.extend(shelf.iter().map(|row| format!("{} is on the shelf for {}", row.id, row.content.reason)));
    if stage.store.unsent_count().await? > 0 {
        open.push("events wait in the outbox".into());
    }
    Ok(open)
}
