//! The shell: the only code that knows the order of the steps.
//!
//! A batch travels through these folders, and imports go one way, from the last to the first:
//!
//! | folder or file | responsibility |
//! | --- | --- |
//! | `model` | values that the steps pass on |
//! | `context`, `permit`, `stop`, `turns`, `workload`, `store_retry`, `unit`, `backoff`, `room`, `failpoint` | what every step needs |
//! | `outcome` | stores what becomes of a batch |
//! | `admission` | turns a message into a batch in hand, or rejects it |
//! | `reconciliation` | what is remembered of accounts to reconcile with Testmo |
//! | `delivery` | gets batches into Testmo |
//! | `dispatch` | decides who works on what, and when |
//! | `intake` | takes messages from the queues and from the shelf |
//! | `outbox`, `maintenance` | publish events; run the periodic work |
//! | `loops`, `countdown`, `supervisor` | start every task, notice its end, and stop all in order |
//!
//! Invariants: nothing is acknowledged before it is stored; a create request is recorded before anything else is done
//! with its batch; the process never ends because a neighbour is unavailable.

mod admission;
mod backoff;
mod context;
mod countdown;
mod delivery;
mod dispatch;
mod failpoint;
mod intake;
mod live;
mod loops;
mod maintenance;
mod meanwhile;
mod model;
mod outbox;
mod outcome;
mod permit;
mod reconciliation;
mod room;
mod service;
mod stop;
mod store_retry;
mod supervisor;
mod turns;
mod unit;
mod workload;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::dispatch::View;
use self::live::Live;
pub use self::loops::TaskEnded;
use self::loops::{GRACE, Loops, within};
use self::service::Running;
pub use self::service::{Gauges, Service};
use self::stop::ALL_OVER;
pub use self::stop::Stopped;
pub use self::supervisor::{Neighbours, work};
use crate::amqp::{Intake, Login, Publisher, Subscription};
use crate::batch::restored::Restored;
use crate::clock::Clock;
use crate::config::{Config, redacted};
use crate::descriptors::{self, TooFewFiles};
#[cfg(debug_assertions)]
use crate::guard;
use crate::guard::Task;
use crate::http::{Readiness, serve as serve_monitoring};
use crate::metrics::Metrics;
pub use crate::store::{FileChange, FileLost, FilePart};
use crate::store::{Store, StoreError, StoreHealth};
use crate::tenants::{KeyError, Keyring, open_keyring};
use crate::testmo::{Client, NoClient};
use crate::trace::export::{Destination, Export, ExportError, SpanEnd};

/// The most undeliverable messages that are in hand at once, from each of their queues.
const UNDELIVERABLE_PREFETCH: u16 = 20;

/// How far the clock may be behind before that is reported.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// The reason why a worker could not start, or could not go on.
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
    /// The address for metrics and health is in use, or not an address of this machine.
    #[error("cannot listen on {address} ({source}): free the address, or change observe.listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The limit of open files is too low.
    #[error(transparent)]
    TooFewFiles(#[from] TooFewFiles),
    /// Spans cannot be sent.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The metrics contradict each other, which is a defect.
    #[error("the metrics cannot be created: {0}")]
    Metrics(#[from] prometheus::Error),
    /// It started, and a defect ended one of its tasks.
    #[error(transparent)]
    TaskEnded(#[from] TaskEnded),
    /// It started, and its store was moved, deleted or replaced.
    #[error(transparent)]
    StoreLost(#[from] FileLost),
    /// It was asked to stop, and the drain time was over before everything had ended.
    #[error("stopped before everything had ended; what was cut: {}", .0.join(", "))]
    Cut(Vec<&'static str>),
}

/// Runs a worker until `stop` is cancelled, then drains it. Beside it run the given services.
///
/// # Errors
/// When the worker cannot start, a defect has ended one of its tasks, or something was cut because the drain time was
/// over. Some seconds after the drain time it has ended, whatever its dependencies do. It ends at once if the file of its
/// store was taken away.
pub async fn run(
    configs: watch::Receiver<Config>,
    services: Vec<Service>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let config = configs.borrow().clone();
    // Before the worker has started nothing is under way, so nothing has to be drained.
    let files = services.iter().map(|service| service.files).sum();
    match stop.run_until_cancelled(Box::pin(start(config, files))).await {
        Some(started) => run_started(started?, configs, services, stop).await,
        None => Ok(()),
    }
}

/// A worker with everything that it needs to work.
struct Started {
    config: Config,
    keyring: Keyring,
    metrics: Metrics,
    store: Store,
    restored: Restored,
    client: Client,
    export: Option<Export>,
    listener: TcpListener,
}

async fn start(mut config: Config, files: u32) -> Result<Started, RunError> {
    #[cfg(debug_assertions)]
    config.crash_at.iter().for_each(|order| failpoint::order(order));
    #[cfg(debug_assertions)]
    config.panic_at.iter().for_each(|order| guard::order(order));
    descriptors::raise_limit();
    let metrics = Metrics::new()?;
    let sockets = share_out_files(&mut config, files)?;
    let store = Store::open_for_worker(&config.store, Clock::system()).await?;
    let keyring = open_keyring::<RunError>(&store, &config.keys.master_key_file).await?;
    store.require_not_set_back(&config.store).await?;
    let restored = store.restored().await?;
    // After the store and the key, which a person has to correct first.
    let listener = TcpListener::bind(config.observe.listen)
        .await
        .map_err(|source| RunError::Listen { address: config.observe.listen, source })?;
    if !config.store.is_shared() {
        store.reclaim_leases().await?;
    }
    warn_of_a_clock_behind(&store).await?;
    warn_of_insecure_origins(&config, &metrics);
    let client = Client::limited(&config.testmo, store.clock(), sockets)?;
    let export = start_export(&config, &metrics)?;
    let spans = export.as_ref().map(Export::spans).unwrap_or_default();
    let client = client.recorded(spans, store.clock());
    Ok(Started { config, keyring, metrics, store, restored, client, export, listener })
}

/// Starts to send spans to a collector, if one is named.
fn start_export(config: &Config, metrics: &Metrics) -> Result<Option<Export>, ExportError> {
    let Some(endpoint) = config.traces.endpoint.clone() else { return Ok(None) };
    let instance = match config.worker.name.as_str() {
        "" => config.observe.listen.to_string(),
        name => name.to_owned(),
    };
    let to = Destination { endpoint, sample_ratio: config.traces.sample_ratio, instance };
    let ended = metrics.spans.clone();
    let count = move |end: SpanEnd, spans| ended.with_label_values(&[end.name()]).inc_by(spans);
    Export::start(&to, Arc::new(count)).map(Some)
}

/// Returns how many sockets to Testmo may be open beside so many files of services. If these are few, fewer requests are sent at once, so that accounts
/// that hang are kept from taking all sockets just as they are kept from taking all requests.
fn share_out_files(config: &mut Config, files: u32) -> Result<usize, TooFewFiles> {
    let store = if config.store.is_shared() { config.store.max_connections } else { 0 };
    let sockets = descriptors::most_connections(store + files)?;
    let requests = descriptors::requests_over(sockets);
    if requests < config.requests.worker_concurrency {
        tracing::warn!(
            "the limit of open files leaves room for fewer requests at once than requests.worker_concurrency ({requests} \
             over {sockets} sockets): raise the limit (`ulimit -n`, LimitNOFILE)"
        );
        config.requests.worker_concurrency = requests;
    }
    Ok(sockets)
}

async fn run_started(
    started: Started,
    configs: watch::Receiver<Config>,
    services: Vec<Service>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let Started { config, keyring, metrics, store, restored, client, export, listener } = started;
    let kept = config.store.clone();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        store = redacted(&config.store.url),
        broker = config.amqp.redacted_url(),
        observe = %config.observe.listen,
        "worker started"
    );
    let (links, close) = (TaskTracker::new(), CancellationToken::new());
    let amqp = &config.amqp;
    let memory = u64::try_from(config.worker.max_queued_bytes).unwrap_or(u64::MAX);
    let subscription = |queue: &str, prefetch| Subscription { queue: queue.to_owned(), prefetch, memory };
    let cases = Intake::start(amqp, subscription(&amqp.cases_queue, amqp.prefetch), &links, close.child_token());
    // These queues are not urgent, and trouble with them must not delay the batches.
    let later = |queue: &str| {
        let subscription = subscription(queue, UNDELIVERABLE_PREFETCH);
        Intake::start_after(cases.status(), amqp, subscription, &links, close.child_token())
    };
    let readiness = Readiness::default();
    let (lanes, views) = mpsc::channel(4);
    let (dead, unrouted) = (later(&amqp.dead_letter_queue), later(&amqp.unrouted_queue));
    let publisher = Publisher::start(amqp, &links, close.child_token());
    let logins = [cases.login(), dead.login(), unrouted.login(), publisher.login()];
    let renewing = renew_logins(Live::follow(configs.clone()), logins);
    let neighbours = Neighbours {
        dead,
        unrouted,
        cases,
        publisher: Arc::new(publisher),
        configs,
        store: Arc::new(store.clone()),
        restored,
        client,
        spans: export.as_ref().map(Export::spans).unwrap_or_default(),
        views,
        close: close.clone(),
    };
    let drain = config.worker.drain_timeout;
    let serving = serve_monitoring(listener, metrics.clone(), readiness.clone(), lanes, close.child_token());
    let gauges = Gauges::of(&metrics);
    let start = |service: Service| (service.task, service.start(close.child_token(), gauges.clone()));
    let beside = Beside { serving, services: services.into_iter().map(start).collect() };
    let working =
        serve_and_work(config, keyring, metrics, readiness.clone(), neighbours, (&links, beside), stop.clone());
    let (ended, stopped_at) = tokio::select! {
        ended = noting_the_stop(working, &stop) => ended,
        never = renewing => match never {},
        change = store.file_changed() => {
            // Nothing can be stored any more, so nothing may be acknowledged: as in a crash, but what was stored is saved.
            tracing::error!(%change, "the store was taken away; the worker stops");
            readiness.set(Task::Store.name(), false);
            close.cancel();
            return Err(store.give_up_file(change).await.into());
        }
        error = store.set_back(&kept) => {
            // What this worker knows is not what is stored: as in a crash, nothing more is acknowledged.
            tracing::error!(%error, "the store was set back; the worker stops");
            readiness.set(Task::Store.name(), false);
            close.cancel();
            return Err(error.into());
        }
    };
    links.close();
    let limit = match &ended {
        Ok(_) => stopped_at + drain + ALL_OVER,
        Err(_) => Instant::now() + GRACE,
    };
    // Within the drain time, and shortly: nothing is lost but spans.
    let flushed = (stopped_at + drain).min(Instant::now() + LONGEST_FLUSH);
    let flushing = async {
        if let Some(export) = export {
            export.flush(flushed).await
        }
    };
    let (closed, ()) = tokio::join!(within(Some(limit), LINKS, links.wait()), flushing);
    tracing::info!("stopped");
    match ended? {
        Stopped::Drained if closed.is_some() => Ok(()),
        Stopped::Drained => Err(RunError::Cut(vec![LINKS])),
        Stopped::Cut(what) => Err(RunError::Cut(what)),
    }
}

/// Has each connection to the broker be opened with the password in force; open ones stay as they are.
async fn renew_logins(mut live: Live, logins: [Login; 4]) -> Infallible {
    loop {
        live.changed().await;
        logins.iter().for_each(|login| login.renew(live.broker_url()));
    }
}

/// How long a worker that stops may take to send its last spans.
const LONGEST_FLUSH: Duration = Duration::from_secs(2);

/// What is waited for last.
const LINKS: &str = "connections to the broker";

/// Waits for the end of some work, and returns it with the time at which `stop` was cancelled.
async fn noting_the_stop<T>(work: impl Future<Output = T>, stop: &CancellationToken) -> (T, Instant) {
    let (mut work, mut stopped_at) = (pin!(work), None);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if stopped_at.is_none() => stopped_at = Some(Instant::now()),
            ended = &mut work => return (ended, stopped_at.unwrap_or_else(Instant::now)),
        }
    }
}

/// What runs beside the work.
struct Beside<S> {
    /// Serves metrics and health.
    serving: S,
    services: Vec<(Task, Running)>,
}

/// Works for as long as metrics and health are served, and no service has ended.
async fn serve_and_work(
    config: Config,
    keyring: Keyring,
    metrics: Metrics,
    readiness: Readiness,
    neighbours: Neighbours,
    (links, beside): (&TaskTracker, Beside<impl Future<Output = ()> + Send + 'static>),
    stop: CancellationToken,
) -> Result<Stopped, TaskEnded> {
    // A defect cancels it as well, which must not count as a person's first signal.
    let stop = stop.child_token();
    let drain = config.worker.drain_timeout;
    let mut loops = Loops::new();
    loops.spawn(links, Task::Admin, beside.serving);
    for (task, service) in beside.services {
        loops.spawn(links, task, service);
    }
    let mut working = pin!(work(config, keyring, metrics, readiness.clone(), neighbours, stop.clone()));
    let ended = tokio::select! {
        ended = &mut working => return ended,
        ended = loops.until_stopped(&stop, &readiness) => ended,
    };
    let limit = ended.is_err().then(|| Instant::now() + drain + GRACE);
    let worked = within(limit, "the worker", working).await.unwrap_or(Ok(Stopped::Drained));
    ended.and(worked)
}

/// The name of the store's fact that recognizes its master key.
pub use crate::tenants::MASTER_KEY_FACT;

fn warn_of_insecure_origins(config: &Config, metrics: &Metrics) {
    let origins = &config.testmo.allowed_insecure_origins;
    metrics.insecure_origins.set(i64::try_from(origins.len()).unwrap_or(i64::MAX));
    if !origins.is_empty() {
        tracing::warn!(
            count = origins.len(),
            first = origins.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", "),
            "API keys are sent without TLS to the origins in testmo.allowed_insecure_origins; never do this in \
             production"
        );
    }
}

async fn warn_of_a_clock_behind(store: &Store) -> Result<(), StoreError> {
    let lag = store.clock_lag().await?;
    if lag > CLOCK_TOLERANCE {
        tracing::error!(
            ?lag,
            "this machine's clock is behind the latest time in the store: correct the clock; \
                        until then claimed and parked batches wait longer by the lag"
        );
    }
    Ok(())
}
