//! Starts every task of a worker, and stops them in order: first the intake, then what is under way, then the rest.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::WorkerContext;
use super::delivery::Delivery;
use super::dispatch::{Dispatcher, DispatcherCommand, View};
use super::intake::consumer::take_batches;
use super::intake::shelf_poller::take_from_shelf;
use super::intake::undeliverable::{GIVEN_UP, UNROUTED, take_undeliverable};
use super::loops::{GRACE, Loops, TaskEnded, while_kept, within};
use super::maintenance::counts::keep_counts;
use super::maintenance::health::{Panics, Watched, watch};
use super::maintenance::key_expiry::report_expiring_keys;
use super::maintenance::late_duplicates::check_late_duplicates;
use super::maintenance::prune::prune;
use super::maintenance::reverify::reverify;
use super::model::Backlogs;
use super::outbox::{RELAY_CAPACITY, relay};
use super::reconciliation::memory::ReconcileMemory;
use super::turns::{Turns, instance_name};
use crate::amqp::{Intake, IntakeControl, Publish};
use crate::config::Config;
use crate::guard::Task;
use crate::http::Readiness;
use crate::metrics::Metrics;
use crate::store::Storage;
use crate::store::outbox::OutboxEvent;
use crate::tenants::{Keyring, Tenants};
use crate::testmo::{AddressPolicy, Client};

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
    /// Calls Testmo.
    pub client: Client,
    /// Requests for a picture of the lanes.
    pub views: mpsc::Receiver<View>,
    /// Closes the connections to the broker, once nothing is left to be sent over them.
    pub close: CancellationToken,
}

/// Works until `stop` is cancelled, then drains; closes the store at the end.
///
/// # Errors
/// When a defect has ended one of its tasks. If that happens before `stop`, `stop` is cancelled here, and nothing is
/// waited for beyond the drain time and a few seconds.
pub async fn work(
    config: Config,
    keyring: Keyring,
    metrics: Metrics,
    readiness: Readiness,
    neighbours: Neighbours,
    stop: CancellationToken,
) -> Result<(), TaskEnded> {
    let Neighbours { cases, dead, unrouted, publisher, store, client, views, close } = neighbours;
    let (fresh_events, fresh) = mpsc::channel(RELAY_CAPACITY);
    let context = Arc::new(context_of(config, keyring, metrics, store, client, fresh_events));
    let intakes = [&cases, &dead, &unrouted];
    let controls = intakes.map(Intake::control);
    context.turns.begin(&controls, &stop).await;
    let mut loops = Loops::new();
    let tasks = TaskTracker::new();
    let watched = watched_of(&context, &readiness, intakes, &*publisher);
    loops.spawn(&tasks, Task::Health, watch(watched, close.child_token()));
    loops.spawn(&tasks, Task::Health, keep_counts(context.clone(), close.child_token()));
    loops.spawn(&tasks, Task::Publisher, while_kept(publisher.status(), close.child_token()));
    loops.spawn(&tasks, Task::Store, while_store_works(context.store.clone(), close.child_token()));
    let (relaying, relayed) = (TaskTracker::new(), CancellationToken::new());
    loops.spawn(&relaying, Task::OutboxRelay, relay(context.clone(), publisher, fresh, relayed.clone()));
    let (to_dispatcher, commands) = mpsc::channel(16);
    start_intake(&loops, &tasks, &context, [cases, dead, unrouted], &to_dispatcher, &stop);
    drop(to_dispatcher);
    let memory = Arc::new(ReconcileMemory::default());
    start_maintenance(&loops, &tasks, &context, &memory, &stop);
    let dispatcher = Dispatcher::new(Arc::new(Delivery::new(context.clone(), memory)));
    let dispatching = loops.spawn(&tasks, Task::Dispatcher, dispatcher.run(commands, views, stop.clone()));

    let ended = loops.until_stopped(&stop, &readiness).await;
    // Otherwise a task that is gone could keep the others waiting forever.
    let limit = ended.is_err().then(|| Instant::now() + context.config.worker.drain_timeout + GRACE);
    controls.iter().for_each(IntakeControl::stop);
    context.turns.close();
    within(limit, "requests in flight", dispatching).await;
    relayed.cancel();
    relaying.close();
    within(limit, "events", relaying.wait()).await;
    close.cancel();
    tasks.close();
    within(limit, "tasks", tasks.wait()).await;
    let ended = ended.and_then(|()| loops.panicked());
    if ended.is_ok() {
        within(Some(Instant::now() + LONGEST_FAREWELL), "the store", context.turns.end()).await;
    }
    within(limit, "the store", context.store.close()).await;
    ended
}

fn context_of(
    config: Config,
    keyring: Keyring,
    metrics: Metrics,
    store: Arc<dyn Storage>,
    client: Client,
    fresh_events: mpsc::Sender<OutboxEvent>,
) -> WorkerContext {
    let holder = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
    WorkerContext {
        turns: Turns::new(store.clone(), instance_name(&config, &holder), holder.clone()),
        tenants: Tenants::new(store.clone(), keyring, AddressPolicy::new(&config.testmo)),
        client,
        holder,
        backlogs: Backlogs::default(),
        shelf_wanted: Arc::new(Notify::new()),
        outbox_wanted: Arc::new(Notify::new()),
        fresh_events,
        metrics,
        clock: store.clock(),
        store,
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

fn start_intake(
    loops: &Loops,
    tasks: &TaskTracker,
    context: &Arc<WorkerContext>,
    [cases, dead, unrouted]: [Intake; 3],
    commands: &mpsc::Sender<DispatcherCommand>,
    stop: &CancellationToken,
) {
    loops.spawn(tasks, Task::Intake, take_batches(context.clone(), cases, commands.clone()));
    loops.spawn(tasks, Task::DeadQueue, take_undeliverable(context.clone(), dead, GIVEN_UP));
    loops.spawn(tasks, Task::UnroutedQueue, take_undeliverable(context.clone(), unrouted, UNROUTED));
    loops.spawn(tasks, Task::Shelf, take_from_shelf(context.clone(), commands.clone(), stop.clone()));
}

fn start_maintenance(
    loops: &Loops,
    tasks: &TaskTracker,
    context: &Arc<WorkerContext>,
    memory: &Arc<ReconcileMemory>,
    stop: &CancellationToken,
) {
    let late_check = check_late_duplicates(context.clone(), memory.clone(), stop.clone());
    loops.spawn(tasks, Task::Recheck, reverify(context.clone(), stop.clone()));
    loops.spawn(tasks, Task::LateDuplicates, late_check);
    loops.spawn(tasks, Task::Expiry, report_expiring_keys(context.clone(), stop.clone()));
    loops.spawn(tasks, Task::Prune, prune(context.clone(), stop.clone()));
}
