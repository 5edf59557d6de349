//! What does a run work with? Real worker processes, a broker behind a proxy, a stand-in for Testmo behind another.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use testmo_courier::amqp::{self, Intake, Publisher, Subscription};
use testmo_courier::batch::TenantId;
use testmo_courier::clock::Clock;
use testmo_courier::config::{Config, Sources, load};
use testmo_courier::store::Store;
use testmo_courier::tenants::{Entered, Keyring, Tenants, verify};
use testmo_courier::testmo::{Access, AddressPolicy, Client};
use testmo_sim::world::AccountSpec;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::Broker;
use crate::plan::TENANTS;
use crate::proxy::Proxy;

/// The queue in which the harness keeps every event.
const EVENTS: &str = "chaos.events";

/// A worker that is started again when it is killed.
pub(crate) struct Worker {
    pub(crate) child: Option<Child>,
    environment: BTreeMap<String, String>,
    program: PathBuf,
    log: PathBuf,
}

/// Everything of one run.
pub(crate) struct Stage {
    pub(crate) testmo: testmo_sim::Server,
    pub(crate) broker_proxy: Proxy,
    pub(crate) testmo_proxy: Proxy,
    pub(crate) workers: Vec<Worker>,
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) events: Intake,
    pub(crate) config: Config,
    tasks: TaskTracker,
    close: CancellationToken,
}

impl Stage {
    pub(crate) async fn set(dir: &Path, broker: &mut Broker, seed: u64, program: &Path) -> anyhow::Result<Self> {
        let (tasks, close) = (TaskTracker::new(), CancellationToken::new());
        let vhost = format!("chaos{seed}");
        broker.add_vhost(&vhost).await?;
        let testmo = testmo_sim::Server::start().await?;
        let broker_proxy = Proxy::to(SocketAddr::from(([127, 0, 0, 1], broker.port)), &tasks).await?;
        let testmo_proxy = Proxy::to(testmo.address(), &tasks).await?;
        let origin = |tenant: &str| format!("http://{}/{tenant}", testmo_proxy.address);
        let amqp_url = |port: u16| format!("amqp://guest:guest@127.0.0.1:{port}/{vhost}");
        let environment = environment(dir, &TENANTS.map(origin).join(","), &amqp_url(broker_proxy.address.port()));
        let config = load(&Sources { files: vec![], environment: environment.clone().into_iter().collect() })?;
        let store = Store::open(&config.store, true, Clock::system()).await?;
        let client = Client::new(&config.testmo, Clock::system())?;
        let keyring = Keyring::create(&config.keys.master_key_file)?;
        let tenants = Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo));
        for tenant in TENANTS {
            let key = format!("key-of-{tenant}");
            testmo.create(tenant, AccountSpec::with_one_folder(&key)).map_err(|e| anyhow::anyhow!("{e}"))?;
            connect(&tenants, &store, &client, tenant, &origin(tenant), &key).await?;
        }
        // The harness itself speaks to the broker directly: what it publishes and hears is not in question.
        let direct = testmo_courier::config::Amqp { url: amqp_url(broker.port), ..config.amqp.clone() };
        declare(&direct).await?;
        let publisher = Publisher::start(&direct, &tasks, close.clone());
        let subscription = Subscription { queue: EVENTS.into(), prefetch: 500 };
        let events = Intake::start(&direct, subscription, &tasks, close.clone());
        let worker = Worker { child: None, environment, program: program.to_owned(), log: dir.join("worker.log") };
        let mut stage = Self {
            testmo,
            broker_proxy,
            testmo_proxy,
            workers: vec![worker],
            store,
            publisher,
            events,
            config,
            tasks,
            close,
        };
        for worker in &mut stage.workers {
            worker.start()?;
        }
        Ok(stage)
    }

    pub(crate) async fn strike(mut self) {
        for worker in &mut self.workers {
            worker.kill().await;
        }
        self.close.cancel();
        self.store.close().await;
        self.testmo.stop().await;
        self.tasks.close();
    }
}

fn environment(dir: &Path, origins: &str, amqp_url: &str) -> BTreeMap<String, String> {
    let path = |name: &str| dir.join(name).display().to_string();
    [
        ("COURIER_AMQP__URL", amqp_url.to_owned()),
        ("COURIER_AMQP__RECONNECT_MIN", "50ms".into()),
        ("COURIER_AMQP__RECONNECT_MAX", "1s".into()),
        ("COURIER_AMQP__RPC_TIMEOUT", "2s".into()),
        ("COURIER_AMQP__PUBLISH_TIMEOUT", "2s".into()),
        ("COURIER_AMQP__CONFIRM_TIMEOUT", "3s".into()),
        ("COURIER_STORE__URL", format!("sqlite:{}", path("courier.db"))),
        ("COURIER_KEYS__MASTER_KEY_FILE", path("courier.key")),
        ("COURIER_TESTMO__ALLOW_INSECURE_ORIGINS", origins.to_owned()),
        ("COURIER_TESTMO__CONNECT_TIMEOUT", "500ms".into()),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "1s".into()),
        // A request that waits in a stalled proxy and is then carried out late still ends within this.
        ("COURIER_TESTMO__SETTLE_ANSWERED", "100ms".into()),
        ("COURIER_TESTMO__SETTLE_UNANSWERED", "3s".into()),
        ("COURIER_TESTMO__MARGIN", "1s".into()),
        ("COURIER_RETRY__FIRST_PAUSE", "50ms".into()),
        ("COURIER_RETRY__LONGEST_PAUSE", "500ms".into()),
        ("COURIER_RETRY__FIRST_PARK", "500ms".into()),
        ("COURIER_RETRY__LONGEST_PARK", "1s".into()),
        ("COURIER_SHELF__POLL", "200ms".into()),
        ("COURIER_SHELF__LEASE", "10s".into()),
        ("COURIER_WORKER__DRAIN", "3s".into()),
        ("COURIER_OBSERVE__LISTEN", "127.0.0.1:0".into()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

async fn connect(
    tenants: &Tenants,
    store: &Store,
    client: &Client,
    tenant: &str,
    origin: &str,
    key: &str,
) -> anyhow::Result<()> {
    let access = Access { origin: tenants.policy().check(origin)?, key: SecretString::from(key) };
    let entered = Entered {
        tenant: TenantId::new(tenant)?,
        access: access.clone(),
        expires_on: None,
        project: 1,
        folder: 1,
        mapping: Default::default(),
        resolved: Some(Default::default()),
    };
    let row = tenants.enter(entered)?;
    store.set_connection(&row).await?;
    let finding = verify(client, &access, 1, 1).await;
    store.note_finding(&row.tenant, &row.version, &finding).await?;
    Ok(())
}

async fn declare(config: &testmo_courier::config::Amqp) -> anyhow::Result<()> {
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

impl Worker {
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.program)
            .arg("run")
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| self.program.display().to_string())?;
        self.child = Some(child);
        Ok(())
    }

    pub(crate) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            drop(child.kill().await);
        }
    }

    pub(crate) async fn signal(&self, name: &str) {
        if let Some(pid) = self.child.as_ref().and_then(Child::id) {
            drop(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().await);
        }
    }

    /// SIGTERM; a worker that does not end in time is a finding.
    pub(crate) async fn end(&mut self, limit: Duration) -> anyhow::Result<()> {
        self.signal("TERM").await;
        if let Some(mut child) = self.child.take() {
            let status = tokio::time::timeout(limit, child.wait()).await.context("the worker does not stop")??;
            anyhow::ensure!(status.success(), "the worker ended with {status}");
        }
        Ok(())
    }
}
