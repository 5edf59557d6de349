//! The shell: the only code that knows the order of the steps.
//!
//! A batch comes in (`intake`), is decoded and resolved (`courier`), waits its turn (`dispatch`), is pushed and
//! settled (`deliver`), is acknowledged (`desk`) and announced (`announce`).
//!
//! Invariants: nothing is acknowledged before it is stored; a push is recorded before anything else is done with its
//! batch; the process never ends because a neighbour is away.

mod announce;
mod aside;
mod census;
mod courier;
mod deliver;
mod desk;
mod dispatch;
mod entry;
mod expiry;
mod intake;
mod locate;
mod prune;
mod recheck;
mod retry;
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
use crate::admin::{self, Readiness};
use crate::amqp::{Intake, Publisher, Subscription};
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::store::{FileLock, Place, Store, StoreError};
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
    let metrics = Metrics::new()?;
    let listener = TcpListener::bind(config.observe.listen)
        .await
        .map_err(|source| RunError::Listen { address: config.observe.listen, source })?;
    let lock = match Place::of(&config.store) {
        Place::File(file) => Some(FileLock::take(&file)?),
        Place::Server(_) => None,
    };
    let store = Store::open(&config.store, false, Clock::system()).await?;
    let clock = store.clock();
    let keyring = Keyring::load(&config.keys.master_key_file)?;
    if store.fact(MASTER_KEY_FACT).await?.is_some_and(|word| word != keyring.check_word()) {
        return Err(KeyError::OtherMasterKey(config.keys.master_key_file.clone()).into());
    }
    if lock.is_some() {
        store.reclaim_leases().await?;
    }
    warn_of_a_clock_behind(&store).await?;
    warn_of_insecure_origins(&config, &metrics);
    let courier = Arc::new(Courier {
        tenants: Tenants::new(store.clone(), keyring, AddressPolicy::new(&config.testmo)),
        client: Client::new(&config.testmo, clock.clone())?,
        holder: format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple()),
        announce: Arc::new(Notify::new()),
        metrics,
        clock,
        store,
        config,
    });
    work(courier, listener, stop).await;
    Ok(())
}

/// The name under which the store knows its master key again.
pub const MASTER_KEY_FACT: &str = "master_key";

fn warn_of_insecure_origins(config: &Config, metrics: &Metrics) {
    let origins = &config.testmo.allow_insecure_origins;
    metrics.insecure_origins.set(i64::try_from(origins.len()).unwrap_or(i64::MAX));
    if !origins.is_empty() {
        tracing::warn!(?origins, "keys are sent to these origins without TLS; never do this in production");
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

async fn work(courier: Arc<Courier>, listener: TcpListener, stop: CancellationToken) {
    let (links, tasks) = (TaskTracker::new(), TaskTracker::new());
    let close = CancellationToken::new();
    let amqp = &courier.config.amqp;
    let start = |queue: &str, prefetch| {
        let subscription = Subscription { queue: queue.to_owned(), prefetch };
        Intake::start(amqp, subscription, &links, close.child_token())
    };
    let cases = start(&amqp.cases_queue, amqp.prefetch);
    let dead = start(&amqp.dead_queue, UNDELIVERABLE_PREFETCH);
    let unrouted = start(&amqp.unrouted_queue, UNDELIVERABLE_PREFETCH);
    let publisher = Publisher::start(amqp, &links, close.child_token());
    let controls = [cases.control(), dead.control(), unrouted.control()];
    let readiness = Readiness::default();
    let watched = watch::Watched {
        courier: courier.clone(),
        readiness: readiness.clone(),
        intake: cases.status(),
        events: publisher.status(),
        controls: controls.to_vec(),
        counted_at: None,
    };
    let (news, heard) = mpsc::channel(16);
    tasks.spawn(admin::serve(listener, courier.metrics.clone(), readiness, close.child_token()));
    tasks.spawn(watch::watch(watched, close.child_token()));
    let announcing = TaskTracker::new();
    let announced = CancellationToken::new();
    announcing.spawn(announce::announce(courier.clone(), publisher, announced.clone()));
    tasks.spawn(intake::take_cases(courier.clone(), cases, news.clone()));
    tasks.spawn(intake::take_undeliverable(courier.clone(), dead, "the broker gave up on it"));
    tasks.spawn(intake::take_undeliverable(courier.clone(), unrouted, "it fits no queue"));
    tasks.spawn(intake::take_off_shelf(courier.clone(), news, stop.clone()));
    tasks.spawn(recheck::recheck(courier.clone(), stop.clone()));
    tasks.spawn(expiry::remind(courier.clone(), stop.clone()));
    tasks.spawn(prune::prune(courier.clone(), stop.clone()));
    let dispatching = tasks.spawn(Dispatch::new(courier.clone()).run(heard, stop.clone()));

    stop.cancelled().await;
    controls.iter().for_each(crate::amqp::IntakeControl::stop);
    if let Err(error) = dispatching.await {
        tracing::error!(%error, "a defect stopped the dispatcher; what it held comes again");
    }
    announced.cancel();
    announcing.close();
    announcing.wait().await;
    close.cancel();
    for tracker in [links, tasks] {
        tracker.close();
        tracker.wait().await;
    }
    courier.store.close().await;
    tracing::info!("stopped");
}
