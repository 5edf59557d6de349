//! Sets up a run: real worker processes, and their neighbours behind proxies.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use testmo_courier::amqp::{self, Intake, Publisher, Subscription};
use testmo_courier::clock::Clock;
use testmo_courier::config::{self, Config, Sources, load};
use testmo_courier::store::{Store, StoreHealth};
use testmo_sim::world::AccountSpec;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::diary::Diary;
use crate::generations::{Edits, SOURCES};
use crate::neighbour::Neighbour;
use crate::orders::PEOPLE;
use crate::people::People;
use crate::person::Person;
use crate::plan::{Link, Plan, TENANTS, Version};
use crate::proxy::Proxy;
use crate::timeline::Timeline;
use crate::upgrade::Previous;
use crate::worker::{DRAIN_TIMEOUT, Worker};

/// The queue in which every event is kept.
const EVENTS: &str = "chaos.events";

/// How long the harness waits for an answer of the broker, which makes new queues slowly on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the store may stay unavailable after trouble was noted.
const STORE_BACK: Duration = Duration::from_secs(15);

/// The servers that runs share; each run has its own virtual host and database on them.
pub(crate) struct Ground {
    pub(crate) broker: Neighbour,
    pub(crate) postgres: Option<Neighbour>,
}

/// The programs of a run.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// What the workers begin with.
    pub(crate) previous: PathBuf,
    /// What they are switched to, and what people use.
    pub(crate) present: PathBuf,
}

impl Programs {
    /// Returns the programs of a run with one version.
    pub(crate) fn one(program: &Path) -> Self {
        Self { previous: program.into(), present: program.into() }
    }

    pub(crate) fn of(&self, version: Version) -> &Path {
        match version {
            Version::Previous => &self.previous,
            Version::Present => &self.present,
        }
    }
}

/// Everything of one run.
pub(crate) struct Stage {
    pub(crate) testmo: testmo_sim::Server,
    pub(crate) broker: Neighbour,
    pub(crate) postgres: Option<Neighbour>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) programs: Programs,
    /// When each batch was first published, in milliseconds since 1970.
    pub(crate) published: BTreeMap<usize, i64>,
    pub(crate) store: Store,
    pub(crate) people: Arc<People>,
    pub(crate) persons: [Arc<Person>; PEOPLE.len()],
    pub(crate) diary: Diary,
    /// What people have edited of generations.
    pub(crate) edits: Edits,
    /// The folder to which they move cases.
    pub(crate) other_folder: u64,
    pub(crate) publisher: Publisher,
    pub(crate) events: Intake,
    pub(crate) config: Config,
    pub(crate) timeline: Timeline,
    /// When the queues were declared.
    pub(crate) declared_at: Instant,
    /// When the store was last known to be unavailable.
    pub(crate) store_trouble: Option<Instant>,
    pub(crate) vhost: String,
    /// The URL that reaches the store directly.
    pub(crate) store_url: String,
    broker_proxy: Proxy,
    testmo_proxy: Proxy,
    store_proxy: Option<Proxy>,
    tasks: TaskTracker,
    close: CancellationToken,
}

impl Stage {
    pub(crate) async fn set(dir: &Path, ground: &Ground, plan: &Plan, programs: &Programs) -> anyhow::Result<Self> {
        let (tasks, close) = (TaskTracker::new(), CancellationToken::new());
        let name = format!("chaos_{}_{}", plan.form.replicas, plan.seed);
        let (broker, postgres) = (ground.broker.clone(), ground.postgres.clone().filter(|_| plan.form.replicas > 1));
        broker.make("vhost", &name).await?;
        let testmo = testmo_sim::Server::start().await?;
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let broker_proxy = Proxy::to(local(broker.port()?), &tasks).await?;
        let testmo_proxy = Proxy::to(testmo.address(), &tasks).await?;
        let (mut store_proxy, mut urls) =
            (None, [0; 2].map(|_| format!("sqlite:{}", dir.join("courier.db").display())));
        if let Some(server) = &postgres {
            server.make("database", &name).await?;
            let proxy = Proxy::to(local(server.port()?), &tasks).await?;
            urls = [server.database_url(&name, server.port()?)?, server.database_url(&name, proxy.address.port())?];
            store_proxy = Some(proxy);
        }
        // The harness uses the broker and the store directly, because its own publishing and checking is not under
        // test.
        let [direct_store, workers_store] = urls;
        let everybody = || TENANTS.into_iter().chain([SOURCES]);
        let origins: Vec<String> = everybody().map(|tenant| origin(&testmo_proxy, tenant)).collect();
        let amqp_url = |port: u16| format!("amqp://guest:guest@127.0.0.1:{port}/{name}");
        let mut environment = environment(dir, &origins.join(","), &amqp_url(broker_proxy.address.port()));
        environment.insert("COURIER_STORE__URL".into(), workers_store);
        if plan.gives_up {
            environment.insert("COURIER_RETRY__GIVE_UP_AFTER".into(), "2s".into());
            environment.insert("COURIER_RETRY__GIVE_UP_MIN_RETRIES".into(), "1".into());
        }
        let config = load(&Sources { files: vec![], environment: environment.clone().into_iter().collect() })?;
        // Later than the latest commit; a batch cannot be taken back before.
        environment.insert("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY".into(), "10s".into());
        for tenant in everybody() {
            testmo.create(tenant, AccountSpec::with_one_folder(&People::key_of(tenant)))?;
        }
        let direct = config::Amqp { url: amqp_url(broker.port()?), rpc_timeout: PATIENCE, ..config.amqp.clone() };
        declare(&direct).await?;
        let declared_at = Instant::now();
        let publisher = Publisher::start(&direct, &tasks, close.clone());
        let subscription = Subscription { queue: EVENTS.into(), prefetch: 500, memory: u64::MAX };
        let events = Intake::start(&direct, subscription, &tasks, close.clone());
        let timeline = Timeline::begin();
        let worker = |(n, crash): (usize, &Option<_>)| {
            let log = dir.join(worker_log(n));
            let (mut environment, program) = (environment.clone(), programs.previous.clone());
            // Each replica is an instance of its own, whose ends decide how it starts.
            environment.insert("COURIER_WORKER__NAME".into(), format!("w{n}"));
            Worker::waiting(n.to_string(), environment, program, log, crash.clone(), timeline.clone())
        };
        let mut workers: Vec<Worker> = plan.crashes.iter().enumerate().map(worker).collect();
        let connected: Vec<(&str, &String)> = everybody().zip(&origins).collect();
        if plan.first > 0 {
            let previous = Previous { program: &programs.previous, environment: &environment };
            previous.set_up(&connected).await?;
            previous.deliver(plan, &mut workers, (&publisher, config.amqp.cases_exchange.as_str()), &testmo).await?;
        }
        let direct = config::Store { url: direct_store.clone(), ..config.store.clone() };
        let store = Store::open(&direct, true, Clock::system()).await?;
        let people = Arc::new(People::new(store.clone(), &config)?);
        for (tenant, origin) in connected.iter().filter(|_| plan.first == 0) {
            people.enter(tenant, origin).await?;
        }
        let other_folder = testmo.account(SOURCES).create_root_folder(1, "Other");
        let diary = Diary::default();
        let persons = PEOPLE.map(|name| {
            let (program, environment) = (programs.present.clone(), environment.clone());
            Arc::new(Person::new(name, program, environment, store.clone(), diary.clone(), timeline.clone()))
        });
        Ok(Self {
            testmo,
            broker,
            postgres,
            workers,
            programs: programs.clone(),
            published: BTreeMap::new(),
            store,
            people,
            persons,
            diary,
            edits: Edits::default(),
            other_folder,
            publisher,
            events,
            config,
            timeline,
            declared_at,
            // The present version has just ended the sessions of the previous one.
            store_trouble: (plan.first > 0).then(Instant::now),
            vhost: name,
            store_url: direct_store,
            broker_proxy,
            testmo_proxy,
            store_proxy,
            tasks,
            close,
        })
    }

    pub(crate) fn link(&self, link: Link) -> anyhow::Result<&Proxy> {
        match link {
            Link::Broker => Ok(&self.broker_proxy),
            Link::Testmo => Ok(&self.testmo_proxy),
            Link::Store => self.store_proxy.as_ref().context("a store that is reached over the network"),
        }
    }

    /// Returns the origin under which the workers know a tenant's account.
    pub(crate) fn origin(&self, tenant: &str) -> String {
        origin(&self.testmo_proxy, tenant)
    }

    pub(crate) fn open_links(&self) {
        for proxy in [Some(&self.broker_proxy), Some(&self.testmo_proxy), self.store_proxy.as_ref()] {
            proxy.into_iter().for_each(Proxy::open);
        }
    }

    /// Notes that the store is, or was until now, unavailable to the workers.
    pub(crate) fn note_store_trouble(&mut self) {
        self.store_trouble = Some(Instant::now());
    }

    pub(crate) fn note_trouble_of(&mut self, link: Link) {
        if link == Link::Store {
            self.note_store_trouble();
        }
    }

    /// Starts workers that are due, and fails if a worker ended that the plan did not end.
    pub(crate) fn check_workers(&mut self) -> anyhow::Result<()> {
        let back_by = self.store_trouble.map(|noted| noted + STORE_BACK);
        self.workers.iter_mut().try_for_each(|worker| worker.check(|start| back_by >= Some(start)))
    }

    /// Returns the time line, including the requests that the accounts received.
    pub(crate) fn told(&self) -> String {
        let everybody = TENANTS.into_iter().chain([SOURCES]);
        let seen: Vec<_> = everybody.map(|tenant| (tenant, self.testmo.account(tenant).requests())).collect();
        self.timeline.told(&seen)
    }

    pub(crate) async fn strike(mut self) -> anyhow::Result<()> {
        for worker in &mut self.workers {
            worker.kill(Duration::ZERO, None).await;
        }
        self.close.cancel();
        self.store.close().await;
        self.testmo.stop().await;
        self.tasks.close();
        self.broker.make("drop-vhost", &self.vhost).await?;
        match &self.postgres {
            Some(server) => server.make("drop-database", &self.vhost).await,
            None => Ok(()),
        }
    }
}

/// Returns the name of the file with the log of a worker.
pub(crate) fn worker_log(worker: usize) -> String {
    format!("worker-{worker}.log")
}

fn origin(proxy: &Proxy, tenant: &str) -> String {
    format!("http://{}/{tenant}", proxy.address)
}

/// Returns settings with which waits of minutes in production take seconds.
fn environment(dir: &Path, origins: &str, amqp_url: &str) -> BTreeMap<String, String> {
    let path = |name: &str| dir.join(name).display().to_string();
    [
        ("COURIER_AMQP__URL", amqp_url.to_owned()),
        ("COURIER_AMQP__RECONNECT_BACKOFF_MIN", "50ms".into()),
        ("COURIER_AMQP__RECONNECT_BACKOFF_MAX", "1s".into()),
        ("COURIER_AMQP__RPC_TIMEOUT", "2s".into()),
        ("COURIER_AMQP__PUBLISH_TIMEOUT", "2s".into()),
        ("COURIER_AMQP__CONFIRM_TIMEOUT", "3s".into()),
        ("COURIER_STORE__MAX_CONNECTIONS", "4".into()),
        ("COURIER_KEYS__MASTER_KEY_FILE", path("courier.key")),
        ("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", origins.to_owned()),
        ("COURIER_TESTMO__CONNECT_TIMEOUT", "500ms".into()),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "1s".into()),
        // A request that waits in a stalled proxy and is then carried out late still ends within these delays.
        ("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "100ms".into()),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "3s".into()),
        ("COURIER_TESTMO__CLAIM_MARGIN", "1s".into()),
        // Misbehaviour can hide more folders than a window of a day allows for.
        ("COURIER_TESTMO__FOLDER_CREATE_WINDOW", "2s".into()),
        ("COURIER_RETRY__BACKOFF_MIN", "50ms".into()),
        ("COURIER_RETRY__BACKOFF_MAX", "500ms".into()),
        ("COURIER_RETRY__SHELF_BACKOFF_MIN", "500ms".into()),
        ("COURIER_RETRY__SHELF_BACKOFF_MAX", "1s".into()),
        ("COURIER_SHELF__POLL_INTERVAL", "200ms".into()),
        ("COURIER_SHELF__LEASE_DURATION", "10s".into()),
        ("COURIER_WORKER__DRAIN_TIMEOUT", format!("{}s", DRAIN_TIMEOUT.as_secs())),
        ("COURIER_OBSERVE__LISTEN", "127.0.0.1:0".into()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

async fn declare(config: &config::Amqp) -> anyhow::Result<()> {
    use amqp::topology::{Argument, ArgumentValue, Object, topology};
    let mut objects = topology(config);
    let quorum = Argument { name: "x-queue-type", value: ArgumentValue::Text("quorum".into()) };
    objects.push(Object::Queue { name: EVENTS.into(), arguments: vec![quorum] });
    objects.push(Object::Binding {
        exchange: config.events_exchange.clone(),
        queue: EVENTS.into(),
        routing_key: "#".into(),
    });
    let link = amqp::connect_once(config, "chaos").await?;
    let findings = amqp::declare(&link, &objects).await?;
    link.close().await;
    anyhow::ensure!(findings.is_empty(), "{findings:?}");
    Ok(())
}
