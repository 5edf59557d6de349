//! The shell: the only code that knows the order of the steps.
//!
//! A batch comes in (`intake`), is decoded and resolved (`courier`), waits its turn (`dispatch`), is pushed and
//! settled (`deliver`), is acknowledged (`desk`) and announced (`announce`).
//!
//! Invariants: nothing is acknowledged before it is stored; a push is recorded before anything else is done with its
//! batch; the process never ends because a neighbour is away.

mod announce;
mod aside;
mod ask;
mod census;
mod courier;
mod crash;
mod deliver;
mod desk;
mod dispatch;
mod echo;
mod entry;
mod expiry;
mod follow;
mod ids;
mod intake;
mod lanes_view;
mod last_look;
mod locate;
mod look;
mod prune;
mod push;
mod recheck;
mod retry;
mod sample;
mod supervision;
mod suspects;
mod watch;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::courier::Courier;
use self::dispatch::Dispatch;
pub use self::dispatch::View;
pub use self::supervision::TaskEnded;
use self::supervision::{GRACE, Loops, while_kept, within};
use crate::admin::{self, Readiness};
use crate::amqp::{Intake, Publish, Publisher, Subscription};
use crate::clock::Clock;
use crate::config::Config;
#[cfg(debug_assertions)]
use crate::guard;
use crate::guard::Task;
use crate::metrics::Metrics;
use crate::store::{FileLock, Storage, Store, StoreError, StoreHealth, StoreLocation};
use crate::tenants::{KeyError, Keyring, Tenants};
use crate::testmo::{AddressPolicy, Client, NoClient};

/// How many unreadable or unroutable messages are in hand at once.
const UNDELIVERABLE_PREFETCH: u16 = 20;

/// How far the clock may be behind without its being worth a word.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// Why a worker could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No HTTPS client can be built.
    #[error(transparent)]
    Client(#[from] NoClient),
    /// The address for metrics and health is taken or not of this machine.
    #[error("cannot listen at {address} ({source}): free it, or change observe.listen")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The metrics contradict each other, which is a defect.
    #[error("the metrics cannot be made: {0}")]
    Metrics(#[from] prometheus::Error),
    /// It could start, and a defect ended one of its tasks.
    #[error(transparent)]
    TaskEnded(#[from] TaskEnded),
}

/// Runs a worker until `stop` is cancelled, then drains it.
///
/// # Errors
/// When it cannot start. Once it runs, it ends by `stop`, or because a defect has ended one of its tasks: then it drains
/// as well, within a limit.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), RunError> {
    #[cfg(debug_assertions)]
    config.crash_at.iter().for_each(|order| crash::order(order));
    #[cfg(debug_assertions)]
    config.panic_at.iter().for_each(|order| guard::order(order));
    let metrics = Metrics::new()?;
    let lock = match StoreLocation::of(&config.store) {
        StoreLocation::File(file) => Some(FileLock::take(&file)?),
        StoreLocation::Server(_) => None,
    };
    let store = Store::open(&config.store, false, Clock::system()).await?;
    let keyring = Keyring::load(&config.keys.master_key_file)?;
    if store.fact(MASTER_KEY_FACT).await?.is_some_and(|word| word != keyring.check_word()) {
        return Err(KeyError::OtherMasterKey(config.keys.master_key_file.clone()).into());
    }
    // After the store and the key, which are what a person has to correct first.
    let listener = TcpListener::bind(config.observe.listen)
        .await
        .map_err(|source| RunError::Listen { address: config.observe.listen, source })?;
    if lock.is_some() {
        store.reclaim_leases().await?;
    }
    warn_of_a_clock_behind(&store).await?;
    warn_of_insecure_origins(&config, &metrics);
    let client = Client::new(&config.testmo, store.clock())?;
    let (links, close) = (TaskTracker::new(), CancellationToken::new());
    let amqp = &config.amqp;
    let subscription = |queue: &str, prefetch| Subscription { queue: queue.to_owned(), prefetch };
    let cases = Intake::start(amqp, subscription(&amqp.cases_queue, amqp.prefetch), &links, close.child_token());
    // What is in these queues is in no hurry, and whatever is wrong with it must not come before the batches.
    let later = |queue: &str| {
        let subscription = subscription(queue, UNDELIVERABLE_PREFETCH);
        Intake::start_after(cases.status(), amqp, subscription, &links, close.child_token())
    };
    let readiness = Readiness::default();
    let (lanes, views) = mpsc::channel(4);
    let neighbours = Neighbours {
        dead: later(&amqp.dead_queue),
        unrouted: later(&amqp.unrouted_queue),
        cases,
        publisher: Arc::new(Publisher::start(amqp, &links, close.child_token())),
        store: Arc::new(store),
        client,
        views,
        close: close.clone(),
    };
    let serving = admin::serve(listener, metrics.clone(), readiness.clone(), lanes, close.child_token());
    let ended = serve_and_work(config, keyring, metrics, readiness, neighbours, (&links, serving), stop).await;
    links.close();
    let limit = ended.is_err().then(|| Instant::now() + GRACE);
    within(limit, "connections to the broker", links.wait()).await;
    tracing::info!("stopped");
    Ok(ended?)
}

/// Works for as long as metrics and health are served.
async fn serve_and_work(
    config: Config,
    keyring: Keyring,
    metrics: Metrics,
    readiness: Readiness,
    neighbours: Neighbours,
    (links, serving): (&TaskTracker, impl Future<Output = ()> + Send + 'static),
    stop: CancellationToken,
) -> Result<(), TaskEnded> {
    // Cancelled by a defect as well, which must not be taken for a person's first signal.
    let stop = stop.child_token();
    let drain = config.worker.drain;
    let mut loops = Loops::new();
    loops.spawn(links, Task::Admin, serving);
    let mut working = pin!(work(config, keyring, metrics, readiness.clone(), neighbours, stop.clone()));
    let ended = tokio::select! {
        ended = &mut working => return ended,
        ended = loops.until_stopped(&stop, &readiness) => ended,
    };
    let limit = ended.is_err().then(|| Instant::now() + drain + GRACE);
    within(limit, "the worker", working).await.unwrap_or(Ok(())).and(ended)
}

/// What a worker has around it.
pub struct Neighbours {
    /// Where batches come from.
    pub cases: Intake,
    /// Where messages come from that the broker gave up on.
    pub dead: Intake,
    /// Where messages come from that fit no queue.
    pub unrouted: Intake,
    /// Where events go.
    pub publisher: Arc<dyn Publish>,
    /// Where everything is kept.
    pub store: Arc<dyn Storage>,
    /// The way to Testmo.
    pub client: Client,
    /// Who wants to see the lanes.
    pub views: mpsc::Receiver<View>,
    /// Closes what leads to the broker, once everything has been said to it.
    pub close: CancellationToken,
}

/// The name under which the store knows its master key again.
pub const MASTER_KEY_FACT: &str = "master_key";

fn warn_of_insecure_origins(config: &Config, metrics: &Metrics) {
    let origins = &config.testmo.allow_insecure_origins;
    metrics.insecure_origins.set(i64::try_from(origins.len()).unwrap_or(i64::MAX));
    if !origins.is_empty() {
        let (count, first) = (origins.len(), origins.iter().take(10).collect::<Vec<_>>());
        tracing::warn!(count, ?first, "keys are sent to origins without TLS; never do this in production");
    }
}

async fn warn_of_a_clock_behind(store: &Store) -> Result<(), StoreError> {
    let lag = store.clock_lag().await?;
    if lag > CLOCK_TOLERANCE {
        tracing::error!(
            ?lag,
            "this machine's clock is behind what the store has seen: set it right; \
                        until then what was claimed or parked before waits that much longer"
        );
    }
    Ok(())
}

/// Works with what there is around until `stop` is cancelled, then drains; closes the store at the end.
///
/// # Errors
/// When a defect has ended one of its tasks. Where that happens before `stop`, it is cancelled here, and nothing is
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
    let (to_announce, stored) = mpsc::channel(announce::ROOM);
    let courier = Arc::new(Courier {
        tenants: Tenants::new(store.clone(), keyring, AddressPolicy::new(&config.testmo)),
        client,
        holder: format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple()),
        folders: locate::Folders::default(),
        samples: sample::Samples::default(),
        suspects: suspects::Suspects::default(),
        shelved: Default::default(),
        shelf_wanted: Arc::new(Notify::new()),
        announce: Arc::new(Notify::new()),
        stored: to_announce,
        metrics,
        clock: store.clock(),
        store,
        config,
    });
    let tasks = TaskTracker::new();
    let mut loops = Loops::new();
    let controls = [cases.control(), dead.control(), unrouted.control()];
    let watched = watch::Watched {
        courier: courier.clone(),
        readiness: readiness.clone(),
        links: [
            ("intake", cases.status()),
            ("events", publisher.status()),
            ("dead", dead.status()),
            ("unrouted", unrouted.status()),
        ],
        controls: controls.to_vec(),
        counted_at: None,
        panics: watch::Panics::new(&courier, [&cases, &dead, &unrouted], &*publisher),
    };
    let (news, heard) = mpsc::channel(16);
    loops.spawn(&tasks, Task::Health, watch::watch(watched, close.child_token()));
    loops.spawn(&tasks, Task::Publisher, while_kept(publisher.status(), close.child_token()));
    let (writing, closed) = (courier.store.clone(), close.child_token());
    loops.spawn(&tasks, Task::Store, async move {
        tokio::select! {
            biased;
            () = closed.cancelled() => {}
            () = writing.broken() => {}
        }
    });
    let announcing = TaskTracker::new();
    let announced = CancellationToken::new();
    let announcer = announce::announce(courier.clone(), publisher, stored, announced.clone());
    loops.spawn(&announcing, Task::Announcer, announcer);
    loops.spawn(&tasks, Task::Intake, intake::take_cases(courier.clone(), cases, news.clone()));
    loops.spawn(&tasks, Task::DeadQueue, intake::take_undeliverable(courier.clone(), dead, intake::GIVEN_UP));
    loops.spawn(&tasks, Task::UnroutedQueue, intake::take_undeliverable(courier.clone(), unrouted, intake::UNROUTED));
    loops.spawn(&tasks, Task::Shelf, intake::take_off_shelf(courier.clone(), news, stop.clone()));
    loops.spawn(&tasks, Task::Recheck, recheck::recheck(courier.clone(), stop.clone()));
    loops.spawn(&tasks, Task::LateDuplicates, last_look::look_once_more(courier.clone(), stop.clone()));
    loops.spawn(&tasks, Task::Expiry, expiry::remind(courier.clone(), stop.clone()));
    loops.spawn(&tasks, Task::Prune, prune::prune(courier.clone(), stop.clone()));
    let dispatching =
        loops.spawn(&tasks, Task::Dispatcher, Dispatch::new(courier.clone()).run(heard, views, stop.clone()));

    let ended = loops.until_stopped(&stop, &readiness).await;
    // Else a task that is gone could keep the others waiting for ever.
    let limit = ended.is_err().then(|| Instant::now() + courier.config.worker.drain + GRACE);
    controls.iter().for_each(crate::amqp::IntakeControl::stop);
    within(limit, "requests under way", dispatching).await;
    announced.cancel();
    announcing.close();
    within(limit, "events", announcing.wait()).await;
    close.cancel();
    tasks.close();
    within(limit, "tasks", tasks.wait()).await;
    within(limit, "the store", courier.store.close()).await;
    ended.and_then(|()| loops.panicked())
}
