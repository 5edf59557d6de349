//! Runs one plan: carries it out, ends all faults, drains and checks, in time that passes only when nothing is left to
//! do.

use std::cell::Cell;
use std::sync::{Arc, Once};
use std::time::Duration;

use testmo_courier::batch::BatchKey;
use testmo_courier::batch::ledger::BatchState;
use testmo_courier::store::accounts::LaneOverride;
use testmo_courier::store::replays::ReplayState;
use testmo_courier::store::shelf::ShelfState;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::Queue;
use crate::budget::recovery;
use crate::check::check;
use crate::liveness::{late_deliveries, watch};
use crate::mutation::Mutation;
use crate::people::Person;
use crate::plan::{ACCOUNTS, Action, Kind, Plan};
use crate::replica::{Order, Replica};
use crate::stage::{Stage, poison};
use crate::store::ledger::awaits_late_check;
use crate::store::replays::Note;
use crate::store::tables::{BatchEntry, ShelfRow, Tables, is_of};

/// The longest drain after all faults have ended. A connection that failed is re-verified automatically after minutes,
/// and each try of a suspect waits for the previous lease to expire.
pub(crate) const LONGEST_DRAIN: Duration = Duration::from_secs(3 * 3_600);
/// For how many seconds in a row nothing may be left to do before the run counts as drained.
const CERTAIN: u32 = 5;
/// The same where what waits for a person is tried in turns, so that some of it is always in hand: by then each was tried.
const CERTAIN_IN_TURNS: u32 = 60;

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The violations; empty if the run passed.
    pub broken: Vec<String>,
    /// The events of the run, if a time line was requested.
    pub timeline: Vec<String>,
    /// How much simulated time passed.
    pub simulated: Duration,
    /// How many cases are in Testmo at the end.
    pub cases: usize,
    /// How many create requests were sent.
    pub pushes: usize,
    /// How many create requests carried cases of several batches.
    pub packs: usize,
    /// How many entries replays have started.
    pub replayed: usize,
    /// How many entries were planned, and of how many the plan said definitely what becomes of them, in a quiet store.
    pub planned: (usize, usize),
}

thread_local! {
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Counts panics, which the runtime catches and the worker survives.
fn count_panics() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.set(PANICS.get() + 1);
            usual(panic);
        }));
    });
}

/// Runs the plan of a seed, with or without a known bug; records a time line if `keeps_timeline` is set.
pub fn simulate(seed: u64, mutation: Option<Mutation>, keeps_timeline: bool) -> Outcome {
    run(&Plan::of(seed, mutation), keeps_timeline)
}

/// Runs a plan.
pub(crate) fn run(plan: &Plan, keeps_timeline: bool) -> Outcome {
    in_paused_time(carry_out(plan, keeps_timeline))
}

/// Carries a run out in time that passes only when nothing is left to do.
pub(crate) fn in_paused_time(running: impl Future<Output = Outcome>) -> Outcome {
    count_panics();
    let before = PANICS.get();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let mut outcome = runtime.expect("a runtime").block_on(running);
    let panics = PANICS.get() - before;
    if panics > 0 {
        outcome.broken.push(format!("{panics} defects stopped a task"));
    }
    outcome
}

async fn carry_out(plan: &Plan, keeps_timeline: bool) -> Outcome {
    let stage = Arc::new(Stage::set(plan, keeps_timeline));
    stage.diary.note(|| format!("{plan:#?}"));
    let tasks = TaskTracker::new();
    let orders = replicas(&stage, plan.replicas, &tasks);
    let give = |replica: usize, order: Order| {
        if orders[replica].send(order).is_err() {
            stage.complain(format!("replica {replica} takes no orders"));
        }
    };
    let (over, people) = (CancellationToken::new(), TaskTracker::new());
    let publishing = publish(&stage, plan, &tasks, &over);
    let acting = async {
        let began = Instant::now();
        for (at, action) in &plan.actions {
            sleep_until(began + *at).await;
            stage.diary.note(|| format!("{action:?}"));
            act(&stage, action, &give, &people);
        }
        sleep_until(began + plan.healed).await;
    };
    tokio::join!(publishing, acting);
    heal(&stage, plan);
    (0..plan.replicas).for_each(|replica| give(replica, Order::KillAfter(None)));
    people.close();
    let drained = async {
        people.wait().await;
        is_drained(&stage, plan, |_, _| false).await
    };
    let recovered = async { tokio::join!(recovery(&stage, plan, LONGEST_DRAIN), drained) };
    let (recovery, is_drained) = tokio::select! {
        ended = recovered => ended,
        never = watch(&stage, plan) => match never {},
    };
    // Suspects are tried one after the other, each for the whole lease of the worker that it ended.
    if recovery.is_too_long() && plan.kind != Kind::Poison {
        stage.complain(recovery.to_string());
    }
    if !is_drained {
        stage.complain("it does not come to an end".into());
    }
    over.cancel();
    (0..plan.replicas).for_each(|replica| give(replica, Order::End));
    let mut broken = end(&stage, &tasks).await;
    broken.extend(check(&stage, plan));
    broken.extend(late_deliveries(plan, &stage.broker.heard()));
    let (timeline, simulated) = (stage.diary.lines(), stage.diary.elapsed());
    let (pushes, packs, replayed) = counts(&stage);
    let (cases, planned) = (cases_in(&stage), (0, 0));
    Outcome { broken, timeline, simulated, cases, pushes, packs, replayed, planned }
}

/// Waits until the replicas have ended and Testmo has nothing under way; returns what was complained of.
pub(crate) async fn end(stage: &Stage, tasks: &TaskTracker) -> Vec<String> {
    tasks.close();
    tasks.wait().await;
    stage.testmo.quiet().await;
    if stage.store.was_hurried() {
        stage.complain("a worker runs in circles: it asks the store again and again at one moment".into());
    }
    stage.complaints()
}

/// Counts create requests, those with cases of several batches, and entries that replays started.
pub(crate) fn counts(stage: &Stage) -> (usize, usize, usize) {
    stage.store.at_once(|tables, _| {
        let used = tables.grants.iter().filter(|grant| grant.used);
        let started = tables.journal.iter().filter(|note| matches!(note, Note::Started { .. }));
        (used.clone().count(), used.filter(|grant| grant.shares.len() > 1).count(), started.count())
    })
}

pub(crate) fn cases_in(stage: &Stage) -> usize {
    stage.testmo.world(|world| {
        ACCOUNTS.iter().filter_map(|account| world.station(account)).map(|s| s.account.cases.iter().len()).sum()
    })
}

/// Starts replicas, and returns where each takes orders.
pub(crate) fn replicas(stage: &Arc<Stage>, count: usize, tasks: &TaskTracker) -> Vec<mpsc::UnboundedSender<Order>> {
    let start = |index| {
        let (order, ordered) = mpsc::unbounded_channel();
        tasks.spawn(Replica::new(stage.clone(), index as u64 + 1).live(ordered));
        order
    };
    (0..count).map(start).collect()
}

/// Publishes every message at its time.
async fn publish(stage: &Arc<Stage>, plan: &Plan, tasks: &TaskTracker, over: &CancellationToken) {
    let began = Instant::now();
    let mut messages: Vec<(Duration, Queue, Vec<u8>)> = Vec::new();
    for batch in &plan.batches {
        let queue = if batch.astray { Queue::Unrouted } else { Queue::Cases };
        let body = batch.body(&plan.tenants);
        match batch.after {
            None => messages.extend(batch.at.iter().map(|at| (*at, queue, body.clone()))),
            Some(first) => {
                let (stage, key) = (stage.clone(), plan.key_of(&plan.batches[first]));
                let over = over.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        biased;
                        // A batch that is lost is never finished.
                        () = over.cancelled() => {}
                        () = settled(&stage, &key) => stage.broker.publish(Queue::Cases, "testmo.cases", body),
                    }
                });
            }
        }
    }
    messages.extend(plan.broken.iter().map(|(at, text)| (*at, Queue::Cases, text.clone().into_bytes())));
    messages.extend(poison(plan).map(|body| (Duration::from_secs(3), Queue::Cases, body)));
    messages.sort_by_key(|(at, ..)| *at);
    for (at, queue, body) in messages {
        sleep_until(began + at).await;
        stage.broker.publish(queue, "testmo.cases", body);
    }
}

/// Waits until a batch is finished.
async fn settled(stage: &Stage, key: &BatchKey) {
    while !stage.store.at_once(|tables, _| tables.batch(key).is_some_and(|b| b.record.state != BatchState::Open)) {
        sleep(Duration::from_millis(500)).await;
    }
}

pub(crate) fn act(stage: &Arc<Stage>, action: &Action, give: &impl Fn(usize, Order), people: &TaskTracker) {
    match *action {
        Action::Kill { replica } => give(replica, Order::Kill),
        Action::KillAfter { replica, crossings } => give(replica, Order::KillAfter(Some(crossings))),
        Action::Restart { replica } => give(replica, Order::Restart),
        Action::Freeze { replica, time } => give(replica, Order::Freeze(time)),
        Action::Cut { replica } => give(replica, Order::Cut),
        Action::Broker { up } => stage.broker.set_up(up),
        Action::Store { up } => stage.store.go_away(!up),
        Action::Lag { time } => stage.store.lag(time),
        Action::Answer { account, status } => stage.testmo.answer_all(account, status),
        Action::Reach { account, reachable } => stage.testmo.set_reachable(account, reachable),
        Action::Hang { account, hangs } => stage.testmo.set_hanging(account, hangs),
        Action::Shelve { ref tenant, reason, ref body } => stage.shelve(tenant.clone(), reason, body),
        Action::Revoke { tenant } => stage.revoke(tenant),
        Action::Renew { tenant } => stage.renew(tenant),
        Action::Order(ref order) => stage.store.at_once(|tables, now| tables.set_lane_override(order, now)),
        Action::Person { person, ref act } => {
            let (person, act) = (Person::new(stage, person), act.clone());
            people.spawn(async move { person.carry_out(&act).await });
        }
        Action::Jump { ms } => stage.jump(ms),
    }
}

/// Ends all faults, and gives every tenant a key that works.
pub(crate) fn heal(stage: &Stage, plan: &Plan) {
    stage.diary.note(|| "all is healed".into());
    stage.weather.calm_down();
    stage.store.go_away(false);
    stage.store.lag(Duration::ZERO);
    stage.broker.set_up(true);
    stage.store.at_once(|tables, now| {
        for order in tables.lane_overrides() {
            tables.set_lane_override(&LaneOverride { paused: false, most: None, ..order }, now);
        }
    });
    for account in ACCOUNTS {
        stage.testmo.answer_all(account, None);
        stage.testmo.set_reachable(account, true);
        stage.testmo.set_hanging(account, false);
    }
    (0..plan.tenants.len()).for_each(|tenant| stage.renew(tenant));
}

/// Waits until nothing is left to do but what `waits` for a person; returns false if that takes too long.
pub(crate) async fn is_drained(stage: &Stage, plan: &Plan, waits: fn(&Tables, &ShelfRow) -> bool) -> bool {
    let limit = Instant::now() + LONGEST_DRAIN;
    let (mut quiet, mut waiting) = (0, 0);
    while quiet < CERTAIN && waiting < CERTAIN_IN_TURNS {
        if Instant::now() > limit {
            return false;
        }
        sleep(Duration::from_secs(1)).await;
        let idle = idle(stage, plan, waits);
        quiet = if idle == Idle::Yes { quiet + 1 } else { 0 };
        waiting = if idle == Idle::No { 0 } else { waiting + 1 };
    }
    true
}

/// Whether anything is left to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Idle {
    Yes,
    /// Nothing but what waits for a person, some of which is in hand.
    InTurns,
    No,
}

/// Returns whether it is checked what a batch has overwritten: not while it is open.
fn is_checked(tables: &Tables, key: &BatchKey) -> bool {
    tables.batch(key).is_none_or(|stored| stored.record.state != BatchState::Open)
}

fn idle(stage: &Stage, plan: &Plan, waits: fn(&Tables, &ShelfRow) -> bool) -> Idle {
    let is_done = stage.broker.left() == 0
        && stage.store.at_once(|tables, now| {
            let waiting: Vec<&ShelfRow> = tables.shelf.values().filter(|row| waits(tables, row)).collect();
            let is_work =
                |row: &ShelfRow| (row.is_leased(now) || row.state == ShelfState::Parked) && !waits(tables, row);
            let open = |entry: &BatchEntry| {
                let record = &entry.stored.record;
                let waits = waiting.iter().any(|row| is_of(&row.content.identity, &record.key));
                (record.state == BatchState::Open && !waits) || (awaits_late_check(record) && !plan.roams)
            };
            let known = |batch: &crate::batches::BatchPlan| tables.batch(&plan.key_of(batch)).is_some();
            let echoed = |batch: &crate::batches::BatchPlan| {
                batch.after.is_none_or(|first| known(batch) || !known(&plan.batches[first]))
            };
            let runs = |replay: &crate::store::replays::Replay| replay.state == ReplayState::Running;
            !tables.shelf.values().any(is_work)
                && !tables.replays.values().any(runs)
                && !tables.batches.values().any(open)
                && !tables.windows.keys().any(|(key, _)| is_checked(tables, key))
                && tables.unsent_count() == 0
                && plan.batches.iter().all(echoed)
        });
    let is_in_hand = || stage.store.at_once(|tables, now| tables.shelf.values().any(|row| row.is_leased(now)));
    match is_done {
        true if is_in_hand() => Idle::InTurns,
        true => Idle::Yes,
        false => Idle::No,
    }
}
