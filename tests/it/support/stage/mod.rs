//! Prepares everything that a whole worker needs: a broker, a store, a Testmo, tenants, and the events that report
//! outcomes.

mod connections;
mod end;
mod messages;
mod stored;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use testmo_courier::amqp::topology::topology;
use testmo_courier::amqp::{Publisher, Tail, connect_once, declare};
use testmo_courier::clock::Clock;
use testmo_courier::config::{Amqp, Config, Sources, load};
use testmo_courier::store::Store;
use testmo_courier::tenants::{Keyring, Tenants};
use testmo_courier::testmo::{AddressPolicy, Client};
use testmo_courier::worker;
use testmo_sim::world::AccountSpec;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use self::end::LeftOver;
use self::end::MustEnd;
use super::batches::key_of;
use super::broker::Broker;
use super::postgres::Postgres;

/// A virtual host, a store, a stand-in for Testmo and tenants: everything that a worker needs, for one test only.
pub(crate) struct Stage {
    pub(crate) config: Config,
    pub(crate) environment: HashMap<String, String>,
    pub(crate) testmo: testmo_sim::Server,
    pub(crate) store: Store,
    pub(crate) vhost: String,
    broker: Broker,
    dir: tempfile::TempDir,
    tenants: Tenants,
    client: Client,
    links: TaskTracker,
    close: CancellationToken,
    publisher: Publisher,
    events: Tail,
    heard: HashMap<String, Vec<Value>>,
    workers: Vec<(JoinHandle<Result<(), worker::RunError>>, CancellationToken)>,
    /// Also held by each worker process.
    pub(super) running: Arc<()>,
    must_end: MustEnd,
}

impl Stage {
    /// Returns a stage on the broker that all tests share, with tenants of these names.
    pub(crate) async fn with_tenants(tenants: &[&str]) -> Self {
        Self::on(Broker::shared(), tenants, &[]).await
    }

    /// Returns a stage whose store is a database of this server.
    pub(crate) async fn on_postgres(server: &Postgres, tenants: &[&str], settings: &[(&str, &str)]) -> Self {
        let url = server.database();
        let settings = [settings, &[("COURIER_STORE__URL", url.as_str())]].concat();
        Self::on(Broker::shared(), tenants, &settings).await
    }

    /// Returns a stage with further settings: `COURIER_…` and their values. Origins are added to those of the tenants.
    pub(crate) async fn on(broker: &Broker, tenants: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::over(broker, tenants, settings, async |_, _| {}).await
    }

    /// Returns a stage whose store exists before it is opened: `prepare` creates it at a URL, for a stand-in at an
    /// origin.
    pub(crate) async fn over(
        broker: &Broker,
        tenants: &[&str],
        settings: &[(&str, &str)],
        prepare: impl AsyncFnOnce(&str, &str),
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // As in `main`; only the first call in the process succeeds.
        drop(rustls::crypto::ring::default_provider().install_default());
        let vhost = format!("stage{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        broker.add_vhost(&vhost);
        let dir = tempfile::tempdir().expect("a folder");
        let testmo = testmo_sim::Server::start().await.expect("a stand-in");
        let origins: Vec<String> = tenants.iter().map(|tenant| testmo.origin(tenant)).collect();
        let environment = settings_of(broker.url(&vhost), dir.path(), &origins, settings);
        let config = load(&Sources { files: vec![], environment: environment.clone() }).expect("a configuration");
        prepare(&config.store.url, testmo.origin("").trim_end_matches('/')).await;
        let store = Store::open(&config.store, true, Clock::system()).await.expect("a store");
        let keyring = Keyring::create(&config.keys.master_key_file).expect("a master key");
        let client = Client::new(&config.testmo, Clock::system()).expect("a client");
        let links = TaskTracker::new();
        let close = CancellationToken::new();
        declare_topology(&config.amqp).await;
        let mut stage = Self {
            tenants: Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo)),
            // A generator in another language may send larger messages than the worker accepts.
            publisher: Publisher::start(
                &Amqp { max_message_bytes: usize::MAX, ..config.amqp.clone() },
                &links,
                close.clone(),
            ),
            events: Tail::open(&config.amqp, "#").await.expect("the events"),
            client,
            links,
            close,
            config,
            environment,
            vhost,
            testmo,
            store,
            dir,
            heard: HashMap::new(),
            workers: Vec::new(),
            broker: broker.clone(),
            running: Arc::default(),
            must_end: MustEnd { has_ended: false },
        };
        for tenant in tenants {
            stage.testmo.create(tenant, AccountSpec::with_one_folder(&key_of(tenant))).expect("an account");
            stage.connect(tenant, tenant, &key_of(tenant)).await;
        }
        stage
    }

    /// Returns the path of a file in the folder of this stage.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Returns the variables of a worker whose files are in a folder, with short times.
fn settings_of(amqp: String, folder: &Path, origins: &[String], settings: &[(&str, &str)]) -> HashMap<String, String> {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut environment: HashMap<String, String> = [
        ("COURIER_AMQP__URL", amqp),
        ("COURIER_AMQP__RECONNECT_BACKOFF_MIN", "50ms".into()),
        ("COURIER_AMQP__RECONNECT_BACKOFF_MAX", "1s".into()),
        ("COURIER_STORE__URL", format!("sqlite:{}", path("courier.db"))),
        ("COURIER_KEYS__MASTER_KEY_FILE", path("courier.key")),
        ("COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS", origins.join(",")),
        ("COURIER_TESTMO__CONNECT_TIMEOUT", "1s".into()),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "2s".into()),
        ("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "50ms".into()),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "2s".into()),
        ("COURIER_TESTMO__CLAIM_MARGIN", "500ms".into()),
        ("COURIER_RETRY__BACKOFF_MIN", "20ms".into()),
        ("COURIER_RETRY__BACKOFF_MAX", "200ms".into()),
        ("COURIER_SHELF__POLL_INTERVAL", "50ms".into()),
        ("COURIER_OBSERVE__LISTEN", "127.0.0.1:0".into()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    for (key, value) in settings {
        let value = match environment.get(*key) {
            Some(origins) if *key == "COURIER_TESTMO__ALLOWED_INSECURE_ORIGINS" => format!("{origins},{value}"),
            Some(_) | None => (*value).to_owned(),
        };
        environment.insert((*key).to_owned(), value);
    }
    environment
}

async fn declare_topology(config: &Amqp) {
    let link = connect_once(config, "test").await.expect("a connection");
    declare(&link, &topology(config)).await.expect("a topology");
    link.close().await;
}
