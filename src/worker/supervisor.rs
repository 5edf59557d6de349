//! Starts every task of a worker, and stops them in order: first the intake, then what is under way, then the rest.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::WorkerContext;
use super::countdown::{count_down, log_rest};
use super::delivery::Delivery;
use super::dispatch::{Dispatcher, DispatcherCommand, View};
use super::intake::consumer::take_batches;
use super::intake::shelf_poller::take_from_shelf;
use super::intake::undeliverable::{GIVEN_UP, UNROUTED, take_undeliverable};
use super::live::Live;
use super::loops::{Loops, TaskEnded, while_kept, within};
use super::maintenance::connected::retry_connected;
use super::maintenance::counts::keep_counts;
use super::maintenance::health::{Panics, Watched, watch};
use super::maintenance::key_expiry::report_expiring_keys;
use super::maintenance::late_duplicates::check_late_duplicates;
use super::maintenance::overwritten_edits::check_overwritten_edits;
use super::maintenance::prune::prune;
use super::maintenance::replays::carry_out_replays;
use super::maintenance::reverify::reverify;
use super::maintenance::search::keep_searchable;
use super::maintenance::trend::keep_trend;
use super::model::{Backlogs, SlowTrials, Troubles};
use super::outbox::{FAREWELL, RELAY_CAPACITY, relay};
use super::reconciliation::memory::ReconcileMemory;
use super::room::ReadingRoom;
use super::stop::{Stop, Stopped, WORK_OVER, stopped};
use super::turns::{Turns, instance_name};
use super::workload::{Busy, Workload};
use crate::amqp::{Intake, IntakeControl, Publish};
use crate::batch::restored::Restored;
use crate::config::Config;
use crate::guard::Task;
use crate::http::Readiness;
use crate::metrics::Metrics;
use crate::store::Storage;
use crate::store::outbox::OutboxEvent;
use crate::tenants::{Keyring, Tenants};
use crate::testmo::{AddressPolicy, Client};
use crate::trace::Spans;

/// How long a worker may take to store that it ends in order.
const LONGEST_FAREWELL: Duration = Duration::from_secs(2);

/// The neighbours of a worker.
pub struct Neighbours {
    /// The queue of batches.
    pub cases: Intake,
    /// The queue of messages that the broker gave up on.
    pub dead: Intake,
    /// The queue of messages that fit no binding.
    pub unrouted: Intake,
    /// Publishes events.
    pub publisher: Arc<dyn Publish>,
    /// Keeps everything that outlives a crash.
    pub store: Arc<dyn Storage>,
    /// What is known of restores of the store from older copies.
    pub restored: Restored,
    /// Calls Testmo.
    pub client: Client,
    /// Where pieces of work on batches are recorded.
    pub spans: Spans,
    /// The configuration, as it is read again.
    pub configs: Receiver<Config>,
    /// Requests for a picture of the lanes.
    pub views: mpsc::Receiver<View>,
    /// Closes the connections to the broker, once nothing is left to be sent over them.
    pub close: CancellationToken,
}

/// Works until `stop` is cancelled, then drains; closes the store at the end. Nothing is waited for beyond the drain
/// time and a few seconds.
///
/// # Errors
/// When a defect has ended one of its tasks. If that happens before `stop`, `stop` is cancelled here.
pub async fn work(
    config: Config,
    keyring: Keyring,
    metrics: Metrics,
    readiness: Readiness,
    neighbours: Neighbours,
    stop: CancellationToken,
) -> Result<Stopped, TaskEnded> {
    let Neighbours { cases, dead, unrouted, publisher, store, restored, client, spans, configs, views, close } =
        neighbours;
    let (fresh_events, fresh) = mpsc::channel(RELAY_CAPACITY);
    let (stop, cuts) = Stop::new(stop);
    let context = Arc::new(context_of(
        (config, configs),
        keyring,
        metrics,
        (store, restored),
        (client, spans),
        (fresh_events, stop.clone()),
    ));
    // Not among the tasks that are waited for: these two have to go on when those hang.
    let drain = context.config.worker.drain_timeout;
    let phases = TaskTracker::new().spawn(stop.clone().follow(drain));
    let counted = context.clone();
    let counting = TaskTracker::new().spawn(count_down(stop.clone(), drain, move || busy(&counted)));
    let intakes = [&cases, &dead, &unrouted];
    let controls = intakes.map(Intake::control);
    context.turns.begin(&controls, stop.draining()).await;
    let mut loops = Loops::new();
    let tasks = TaskTracker::new();
    let watched = watched_of(&context, &readiness, intakes, &*publisher);
    start_watching(&loops, &tasks, watched, &*publisher, &close);
    let relays =
        Relays { tracker: TaskTracker::new(), drained: CancellationToken::new(), left: CancellationToken::new() };
    let relaying = relay(context.clone(), publisher, fresh, (relays.drained.clone(), relays.left.clone()));
    loops.spawn(&relays.tracker, Task::OutboxRelay, unless_over(stop.clone(), Task::OutboxRelay, relaying));
    let (to_dispatcher, commands) = mpsc::channel(16);
    start_intake(&loops, &tasks, &context, [cases, dead, unrouted], &to_dispatcher);
    drop(to_dispatcher);
    let memory = Arc::new(ReconcileMemory::default());
    start_maintenance(&loops, &tasks, &context, &memory);
    let dispatching = Dispatcher::new(Arc::new(Delivery::new(context.clone(), memory))).run(commands, views);
    let dispatching = loops.spawn(&tasks, Task::Dispatcher, unless_over(stop.clone(), Task::Dispatcher, dispatching));

    let ended = loops.until_stopped(stop.draining(), &readiness).await;
    controls.iter().for_each(IntakeControl::stop);
    let limit = Instant::now() + drain + WORK_OVER;
    context.turns.close();
    cease(&context, dispatching, relays, &tasks, &close).await;
    counting.abort();
    log_rest(busy(&context));
    let ended = ended.and_then(|()| loops.panicked());
    close_store(&context, ended.is_ok(), limit).await;
    phases.abort();
    ended.map(|()| stopped(cuts))
}

/// Returns what a worker has under way.
fn busy(context: &WorkerContext) -> Busy {
    context.workload.now(context.fresh_events.max_capacity() - context.fresh_events.capacity())
}

/// The task that publishes events, and the tokens of its end.
struct Relays {
    tracker: TaskTracker,
    /// Cancelled once no more events are stored.
    drained: CancellationToken,
    /// Cancelled when the events that are still under way are left to another worker or the next start.
    left: CancellationToken,
}

/// Waits for the end of each task, in order. What waits for something that does not come is cut by the phases of the
/// stop, and a task that is gone keeps nobody waiting beyond them.
async fn cease(
    context: &WorkerContext,
    dispatching: JoinHandle<()>,
    relays: Relays,
    tasks: &TaskTracker,
    close: &CancellationToken,
) {
    let stop = &context.stop;
    drop(dispatching.await);
    relays.drained.cancel();
    relays.tracker.close();
    tokio::select! {
        biased;
        () = relays.tracker.wait() => {}
        () = sleep(FAREWELL) => {}
        () = stop.is_cut_for(EVENTS_AFTER_CUT) => {}
    }
    relays.left.cancel();
    relays.tracker.wait().await;
    close.cancel();
    tasks.close();
    tasks.wait().await;
}

/// Stores that the worker ends in order, if it does, and closes the store. A worker that had to cut something on request
/// ends in order, too: no message ended it.
async fn close_store(context: &WorkerContext, in_order: bool, limit: Instant) {
    if in_order {
        let longest = (Instant::now() + LONGEST_FAREWELL).min(limit.checked_sub(CLOSING).unwrap_or(limit));
        if within(Some(longest), STORE, context.turns.end()).await.is_none() {
            context.stop.note_cut(STORE);
        }
    }
    if within(Some(limit), STORE, context.store.close()).await.is_none() {
        context.stop.note_cut(STORE);
    }
}

/// How long after the cut events are still published.
const EVENTS_AFTER_CUT: Duration = Duration::from_secs(2);

/// How much of the time limit is kept for closing the store.
const CLOSING: Duration = Duration::from_millis(500);

/// What is closed last.
const STORE: &str = "the store";

/// Runs the loop of a task until the cut.
async fn unless_cut(stop: Stop, task: Task, work: impl Future<Output = ()>) {
    stop.unless_cut(task.name(), work).await.unwrap_or_default();
}

/// Runs the loop of a task that gives back at the cut what it holds.
async fn unless_over(stop: Stop, task: Task, work: impl Future<Output = ()>) {
    stop.unless_over(task.name(), work).await.unwrap_or_default();
}

fn context_of(
    (config, configs): (Config, Receiver<Config>),
    keyring: Keyring,
    metrics: Metrics,
    (store, restored): (Arc<dyn Storage>, Restored),
    (client, spans): (Client, Spans),
    (fresh_events, stop): (mpsc::Sender<OutboxEvent>, Stop),
) -> WorkerContext {
    let holder = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
    WorkerContext {
        reading: ReadingRoom::new(config.worker.max_queued_bytes),
        turns: Turns::new(store.clone(), instance_name(&config, &holder), holder.clone()),
        tenants: Tenants::new(store.clone(), keyring, AddressPolicy::new(&config.testmo)),
        client,
        holder,
        slow_trials: SlowTrials::default(),
        troubles: Troubles::default(),
        backlogs: Backlogs::default(),
        others: AtomicU64::default(),
        shelf_wanted: Arc::new(Notify::new()),
        replay_wanted: Arc::new(Notify::new()),
        outbox_wanted: Arc::new(Notify::new()),
        fresh_events,
        metrics,
        stop,
        workload: Workload::default(),
        clock: store.clock(),
        spans,
        restored,
        store,
        live: Live::follow(configs),
        config,
    }
}

fn watched_of(
    context: &Arc<WorkerContext>,
    readiness: &Readiness,
    intakes: [&Intake; 3],
    publisher: &dyn Publish,
) -> Watched {
    let [cases, dead, unrouted] = intakes;
    Watched {
        context: context.clone(),
        readiness: readiness.clone(),
        links: [
            ("intake", cases.status()),
            ("events", publisher.status()),
            ("dead_letters", dead.status()),
            ("unrouted", unrouted.status()),
        ],
        controls: intakes.map(Intake::control).to_vec(),
        panics: Panics::new(context, intakes, publisher),
    }
}

/// Waits until one of the store's own tasks has ended, or until `close`.
async fn while_store_works(store: Arc<dyn Storage>, close: CancellationToken) {
    tokio::select! {
        biased;
        () = close.cancelled() => {}
        () = store.broken() => {}
    }
}

/// Starts the tasks that watch the neighbours until `close`.
fn start_watching(
    loops: &Loops,
    tasks: &TaskTracker,
    watched: Watched,
    publisher: &dyn Publish,
    close: &CancellationToken,
) {
    let (context, closed) = (watched.context.clone(), close.clone());
    loops.spawn(tasks, Task::Health, keep_counts(context.clone(), close.child_token()));
    loops.spawn(tasks, Task::Health, keep_trend(context.clone(), close.child_token()));
    let watching = watch(watched, close.child_token());
    // A check of a store that does not answer is given up.
    loops.spawn(tasks, Task::Health, async move { closed.run_until_cancelled(watching).await.unwrap_or_default() });
    loops.spawn(tasks, Task::Publisher, while_kept(publisher.status(), close.child_token()));
    loops.spawn(tasks, Task::Store, while_store_works(context.store.clone(), close.child_token()));
}

fn start_intake(
    loops: &Loops,
    tasks: &TaskTracker,
    context: &Arc<WorkerContext>,
    [cases, dead, unrouted]: [Intake; 3],
    commands: &mpsc::Sender<DispatcherCommand>,
) {
    let stop = &context.stop;
    let batches = take_batches(context.clone(), cases, commands.clone());
    loops.spawn(tasks, Task::Intake, unless_cut(stop.clone(), Task::Intake, batches));
    for (intake, undeliverable) in [(dead, GIVEN_UP), (unrouted, UNROUTED)] {
        let taking = take_undeliverable(context.clone(), intake, undeliverable);
        loops.spawn(tasks, undeliverable.0, unless_cut(stop.clone(), undeliverable.0, taking));
    }
    let from_shelf = take_from_shelf(context.clone(), commands.clone());
    loops.spawn(tasks, Task::Shelf, unless_cut(stop.clone(), Task::Shelf, from_shelf));
}

fn start_maintenance(loops: &Loops, tasks: &TaskTracker, context: &Arc<WorkerContext>, memory: &Arc<ReconcileMemory>) {
    let stop = context.stop.draining();
    let late_check = check_late_duplicates(context.clone(), memory.clone(), stop.clone());
    loops.spawn(tasks, Task::Recheck, reverify(context.clone(), stop.clone()));
    loops.spawn(tasks, Task::Recheck, retry_connected(context.clone(), stop.clone()));
    loops.spawn(tasks, Task::LateDuplicates, late_check);
    loops.spawn(tasks, Task::OverwrittenEdits, check_overwritten_edits(context.clone(), stop.clone()));
    loops.spawn(tasks, Task::Expiry, report_expiring_keys(context.clone(), stop.clone()));
    loops.spawn(tasks, Task::Replay, carry_out_replays(context.clone(), stop.clone()));
    loops.spawn(tasks, Task::Prune, prune(context.clone(), stop.clone()));
    loops.spawn(tasks, Task::Search, keep_searchable(context.clone(), stop.clone()));
}
