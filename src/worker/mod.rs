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
mod suspects;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::courier::Courier;
use self::dispatch::Dispatch;
pub use self::dispatch::View;
use crate::admin::{self, Readiness};
use crate::amqp::{Intake, Publish, Publisher, Subscription};
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::{FileLock, Place, Storage, Store, StoreError};
use crate::tenants::{KeyError, Keyring, Tenants};
use crate::testmo::{AddressPolicy, Client, NoClient};

/// How many unreadable or unroutable messages are in hand at once.
const UNDELIVERABLE_PREFETCH: u16 = 20;

/// How far the clock may be behind without its being worth a word.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// Why a worker could not start.
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
}

/// Runs a worker until `stop` is cancelled, then drains it.
///
/// # Errors
/// When it cannot start; once it runs, it only ends by `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), RunError> {
    #[cfg(debug_assertions)]
    config.crash_at.iter().for_each(|order| crash::order(order));
    let metrics = Metrics::new()?;
    let listener = TcpListener::bind(config.observe.listen)
        .await
        .map_err(|source| RunError::Listen { address: config.observe.listen, source })?;
    let lock = match Place::of(&config.store) {
        Place::File(file) => Some(FileLock::take(&file)?),
        Place::Server(_) => None,
    };
    let store = Store::open(&config.store, false, Clock::system()).await?;
    let keyring = Keyring::load(&config.keys.master_key_file)?;
    if store.fact(MASTER_KEY_FACT).await?.is_some_and(|word| word != keyring.check_word()) {
        return Err(KeyError::OtherMasterKey(config.keys.master_key_file.clone()).into());
    }
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
    links.spawn(admin::serve(listener, metrics.clone(), readiness.clone(), lanes, close.child_token()));
    work(config, keyring, metrics, readiness, neighbours, stop).await;
    links.close();
    links.wait().await;
    tracing::info!("stopped");
    Ok(())
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
pub async fn work(
    config: Config,
    keyring: Keyring,
    metrics: Metrics,
    readiness: Readiness,
    neighbours: Neighbours,
    stop: CancellationToken,
) {
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
    let controls = [cases.control(), dead.control(), unrouted.control()];
    let watched = watch::Watched {
        courier: courier.clone(),
        readiness,
        links: [
            ("intake", cases.status()),
            ("events", publisher.status()),
            ("dead", dead.status()),
            ("unrouted", unrouted.status()),
        ],
        controls: controls.to_vec(),
        counted_at: None,
    };
    let (news, heard) = mpsc::channel(16);
    tasks.spawn(watch::watch(watched, close.child_token()));
    let announcing = TaskTracker::new();
    let announced = CancellationToken::new();
    announcing.spawn(announce::announce(courier.clone(), publisher, stored, announced.clone()));
    tasks.spawn(intake::take_cases(courier.clone(), cases, news.clone()));
    tasks.spawn(intake::take_undeliverable(courier.clone(), dead, "the broker gave up on it"));
    tasks.spawn(intake::take_undeliverable(courier.clone(), unrouted, "it fits no queue"));
    tasks.spawn(intake::take_off_shelf(courier.clone(), news, stop.clone()));
    tasks.spawn(recheck::recheck(courier.clone(), stop.clone()));
    tasks.spawn(last_look::look_once_more(courier.clone(), stop.clone()));
    tasks.spawn(expiry::remind(courier.clone(), stop.clone()));
    tasks.spawn(prune::prune(courier.clone(), stop.clone()));
    let dispatching = tasks.spawn(Dispatch::new(courier.clone()).run(heard, views, stop.clone()));

    stop.cancelled().await;
    controls.iter().for_each(crate::amqp::IntakeControl::stop);
    if let Err(error) = dispatching.await {
        tracing::error!(%error, "a defect stopped the dispatcher; what it held comes again");
    }
    announced.cancel();
    announcing.close();
    announcing.wait().await;
    close.cancel();
    tasks.close();
    tasks.wait().await;
    courier.store.close().await;
}
