//! Carries a plan out, action by action at its time, while long-running work continues in parallel.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use testmo_courier::amqp::Outgoing;
use testmo_sim::Method;
use testmo_sim::faults::{CommitTime, CutAt, Fault, PathKind, RetryAfter, Rule};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};

use crate::generations::{self, Event, SOURCES};
use crate::people::People;
use crate::plan::{Action, Call, Link, Misbehaviour, Plan, QUEUE_SETTLES, TENANTS, Wait};
use crate::poison::Poison;
use crate::replays;
use crate::stage::Stage;

/// How often the workers and the due actions are checked.
const TICK: Duration = Duration::from_millis(20);
/// How long the broker may refuse a message before the run fails.
const PUBLISHING: Duration = Duration::from_secs(60);
/// How long a worker is sought that carries a replay out.
const SEARCH: Duration = Duration::from_secs(5);
/// The time between two tries of that.
const SEARCH_AGAIN: Duration = Duration::from_millis(100);
/// How long names may be.
const LONGEST_NAME: usize = 512;
/// How long they may be while each is refused.
const SHORTEST_NAME: usize = 4;
/// The id of the stand-in's user whose key the worker has.
const USER: u64 = 1;

/// Long-running work, such as a server that starts again.
type Errands = JoinSet<anyhow::Result<()>>;

/// Something that is due at a time.
enum Due {
    Act(Action),
    Continue(usize),
    Open(Link),
    GiveKey(usize),
    TakeNames(usize),
    KillHolder { away: Duration, until: Instant },
}

/// Carries a plan out to its end, and then ends all faults.
pub(crate) async fn run(plan: &Plan, stage: &mut Stage) -> anyhow::Result<()> {
    let mut errands = Errands::new();
    let end = go_through(plan, stage, &mut errands).await;
    // Plans share the servers, so none may be left half restarted.
    let mut late = Ok(());
    while let Some(done) = errands.join_next().await {
        late = late.and(done?);
    }
    end.and(late)?;
    heal(stage).await;
    Ok(())
}

async fn go_through(plan: &Plan, stage: &mut Stage, errands: &mut Errands) -> anyhow::Result<()> {
    let start = Instant::now();
    let acts = plan.actions.iter().enumerate().map(|(n, (at, action))| ((*at, n), Due::Act(action.clone())));
    let mut agenda: BTreeMap<(Duration, usize), Due> = acts.collect();
    while !agenda.is_empty() || !errands.is_empty() {
        while let Some(first) = agenda.first_entry().filter(|first| first.key().0 <= start.elapsed()) {
            let number = first.key().1;
            if let Some((after, next)) = carry_out(first.remove(), plan, stage, errands).await? {
                agenda.insert((start.elapsed() + after, number), next);
            }
        }
        stage.check_workers()?;
        while let Some(done) = errands.try_join_next() {
            done??;
            // A server that was restarted was unavailable until now.
            stage.note_store_trouble();
        }
        sleep(TICK).await;
    }
    Ok(())
}

async fn carry_out(
    due: Due,
    plan: &Plan,
    stage: &mut Stage,
    errands: &mut Errands,
) -> anyhow::Result<Option<(Duration, Due)>> {
    let action = match due {
        Due::Act(action) => action,
        Due::Continue(worker) => {
            stage.workers[worker].signal("CONT").await;
            return Ok(None);
        }
        Due::Open(link) => {
            stage.link(link)?.open();
            stage.note_trouble_of(link);
            return Ok(None);
        }
        Due::TakeNames(tenant) => {
            take_names(stage, TENANTS[tenant], true);
            return Ok(None);
        }
        Due::KillHolder { away, until } => return Ok(kill_holder(stage, away, until).await),
        Due::GiveKey(tenant) => {
            let tenant = TENANTS[tenant];
            stage.testmo.account(tenant).give_key(USER, &People::key_of(tenant));
            let people = stage.people.clone();
            errands.spawn(async move { people.mend(tenant).await });
            return Ok(None);
        }
    };
    stage.timeline.note(told(&action, plan));
    act(action, plan, stage, errands).await
}

fn told(action: &Action, plan: &Plan) -> String {
    let Action::Publish { batch } = action else { return format!("{action:?}") };
    let batch = &plan.batches[*batch];
    format!("publish {} with {} cases", batch.subject(), batch.cases)
}

async fn act(
    action: Action,
    plan: &Plan,
    stage: &mut Stage,
    errands: &mut Errands,
) -> anyhow::Result<Option<(Duration, Due)>> {
    match action {
        Action::Publish { batch } => {
            stage.published.entry(batch).or_insert(stage.timeline.now());
            publish(stage, plan.batches[batch].body(), errands);
        }
        Action::PublishPoison { poison } => publish_poison(stage, poison, errands),
        Action::Kill { worker, away, then } => stage.workers[worker].kill(away, then).await,
        Action::Restart { worker, then } => stage.workers[worker].restart(then).await,
        Action::Switch { worker, to } => {
            let program = stage.programs.of(to).to_owned();
            stage.workers[worker].switch(program).await;
        }
        Action::Pause { worker, away } => {
            stage.workers[worker].signal("STOP").await;
            return Ok(Some((away, Due::Continue(worker))));
        }
        Action::CloseConnections => {
            let broker = stage.broker.clone();
            errands.spawn(async move { broker.close_connections().await });
        }
        Action::KillBroker => {
            let (broker, earliest) = (stage.broker.clone(), stage.declared_at + QUEUE_SETTLES);
            errands.spawn(async move {
                sleep_until(earliest).await;
                broker.kill_and_boot().await
            });
        }
        Action::RestartStore { cleanly } => {
            let server = stage.postgres.clone().context("a store on a server")?;
            stage.note_store_trouble();
            errands.spawn(
                async move { if cleanly { server.stop_and_boot().await } else { server.kill_and_boot().await } },
            );
        }
        Action::Cut { link, away } => {
            stage.link(link)?.cut();
            stage.note_trouble_of(link);
            return Ok(Some((away, Due::Open(link))));
        }
        Action::Stall { link, away } => {
            stage.link(link)?.stall();
            stage.note_trouble_of(link);
            return Ok(Some((away, Due::Open(link))));
        }
        Action::Misbehave { tenant, on, how, times } => {
            let rule = on.rule(fault(how, plan.waits[tenant])).times(times);
            stage.testmo.account(TENANTS[tenant]).add_fault(rule);
        }
        Action::RevokeKey { tenant, away } => {
            stage.testmo.account(TENANTS[tenant]).revoke(USER);
            return Ok(Some((away, Due::GiveKey(tenant))));
        }
        Action::RefuseNames { tenant, away } => {
            take_names(stage, TENANTS[tenant], false);
            return Ok(Some((away, Due::TakeNames(tenant))));
        }
        Action::KillHolder { away } => return Ok(kill_holder(stage, away, Instant::now() + SEARCH).await),
        Action::Generation(event) => happen(event, plan, stage, errands),
        Action::Order { person, order } => {
            let person = stage.persons[person].clone();
            errands.spawn(async move { person.carry_out(order).await });
        }
    }
    Ok(None)
}

/// Has something happen to generations.
fn happen(event: Event, plan: &Plan, stage: &Stage, errands: &mut Errands) {
    let (all, account) = (plan.generations.all.clone(), stage.testmo.account(SOURCES));
    match event {
        Event::Publish { at } => publish(stage, all[at].body(), errands),
        Event::Edit { edit, pick } => {
            let (ground, now) = ((stage.store.clone(), account, stage.edits.clone()), stage.timeline.now());
            errands.spawn(generations::edit(ground, all, (edit, pick, stage.other_folder), now));
        }
        Event::TakeBack { pick, kind, deletes } => {
            let person = stage.persons[pick % stage.persons.len()].clone();
            errands.spawn(generations::take_back(person, stage.store.clone(), all, (pick, kind, deletes)));
        }
        Event::Misbehave { on, how, times } => {
            account.add_fault(on.rule(fault(how, Wait::Seconds(1))).times(times));
        }
    }
}

/// Kills the worker that carries a replay out; while there is none, it is tried again.
async fn kill_holder(stage: &mut Stage, away: Duration, until: Instant) -> Option<(Duration, Due)> {
    let holder = replays::holder(&stage.store_url).await;
    let worker = stage.workers.iter_mut().find(|worker| holder.is_some_and(|pid| worker.is_process(pid)));
    match worker {
        Some(worker) => worker.kill_as_holder(away).await,
        None if Instant::now() < until => return Some((SEARCH_AGAIN, Due::KillHolder { away, until })),
        None => stage.timeline.note("no worker carries a replay out"),
    }
    None
}

/// Has an account take names of ordinary length, or refuse them.
fn take_names(stage: &Stage, tenant: &str, takes: bool) {
    let most = if takes { LONGEST_NAME } else { SHORTEST_NAME };
    stage.testmo.account(tenant).change_settings(|settings| settings.name_max_chars = most);
    stage.timeline.note(format!("{tenant} takes names of {most} characters"));
}

/// Publishes a message as a generator does.
fn publish(stage: &Stage, body: Vec<u8>, errands: &mut Errands) {
    let (publisher, exchange) = (stage.publisher.clone(), stage.config.amqp.cases_exchange.clone());
    let outgoing = Outgoing { exchange, routing_key: "batch".into(), body, ..Outgoing::default() };
    errands.spawn(until_stored(move || {
        let (publisher, outgoing) = (publisher.clone(), outgoing.clone());
        async move { Ok(publisher.publish(outgoing).await.map_err(|error| error.to_string())) }
    }));
}

/// Publishes a message that cannot be processed.
fn publish_poison(stage: &Stage, poison: Poison, errands: &mut Errands) {
    let (broker, vhost, exchange) =
        (stage.broker.clone(), stage.vhost.clone(), stage.config.amqp.cases_exchange.clone());
    errands.spawn(until_stored(move || {
        let (broker, vhost, exchange) = (broker.clone(), vhost.clone(), exchange.clone());
        async move {
            let port = broker.port()?;
            Ok(spawn_blocking(move || poison.publish(port, &vhost, &exchange)).await?)
        }
    }));
}

/// Tries to publish again and again, until the broker has confirmed the message.
async fn until_stored<F>(attempt: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<Result<(), String>>>,
{
    let deadline = Instant::now() + PUBLISHING;
    while let Err(error) = attempt().await? {
        anyhow::ensure!(Instant::now() < deadline, "publishing does not work any more: {error}");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn heal(stage: &mut Stage) {
    stage.open_links();
    stage.note_store_trouble();
    for tenant in TENANTS {
        stage.testmo.account(tenant).clear_faults();
        take_names(stage, tenant, true);
    }
    stage.testmo.account(SOURCES).clear_faults();
    for worker in &mut stage.workers {
        worker.signal("CONT").await;
    }
    stage.timeline.note("healed");
}

impl Call {
    fn rule(self, fault: Fault) -> Rule {
        let (method, path) = match self {
            Self::Create => (Method::Post, PathKind::Cases),
            Self::Reconcile => (Method::Get, PathKind::Cases),
            Self::NewFolder => (Method::Post, PathKind::Folders),
            Self::ListFolders => (Method::Get, PathKind::Folders),
            Self::Change => (Method::Patch, PathKind::Cases),
        };
        Rule::always(fault).on(method, path)
    }
}

fn fault(how: Misbehaviour, wait: Wait) -> Fault {
    match how {
        Misbehaviour::Error { status, after_commit: false } => Fault::status(status),
        Misbehaviour::Error { status, after_commit: true } => Fault::status_after_commit(status),
        Misbehaviour::Throttle => Fault::throttled(match wait {
            Wait::Seconds(seconds) => Some(RetryAfter::Seconds(seconds)),
            Wait::Date(seconds) => Some(RetryAfter::DateIn(seconds)),
            Wait::Untold => None,
        }),
        Misbehaviour::Late { ms, commit_late: false } => Fault::Slow { ms, commit: CommitTime::BeforeDelay },
        Misbehaviour::Late { ms, commit_late: true } => Fault::Slow { ms, commit: CommitTime::AfterDelay },
        Misbehaviour::CutBefore => Fault::Cut { at: CutAt::BeforeCommit },
        Misbehaviour::CutAfter => Fault::Cut { at: CutAt::AfterCommit },
        Misbehaviour::HalfAnswer => Fault::Cut { at: CutAt::HalfBody },
        Misbehaviour::Garbage => Fault::Garbage,
        Misbehaviour::DropLast => Fault::DropLast,
    }
}
