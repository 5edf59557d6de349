//! How does a test read that watches a whole worker? A broker, a Testmo, tenants, and the events that tell the outcome.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use testmo_courier::amqp::{Outgoing, PublishError, Publisher, Tail};
use testmo_courier::batch::TenantId;
use testmo_courier::batch::ledger::{BatchRecord, BatchState};
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::batch::render::mapping_spec::MappingSpec;
use testmo_courier::clock::Clock;
use testmo_courier::config::{Amqp, Config, Sources, load};
use testmo_courier::store::connections::{ConnectionRow, Verification};
use testmo_courier::store::shelf::{ShelfFilter, Shelved};
use testmo_courier::store::{ConnectionStore, Store, StoreHealth};
use testmo_courier::tenants::{Entered, Keyring, Tenants, verify};
use testmo_courier::testmo::{Access, AddressPolicy, Client};
use testmo_courier::worker;
use testmo_sim::faults::{Fault, PathKind, Rule};
use testmo_sim::world::AccountSpec;
use testmo_sim::{AccountHandle, Method};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::broker::Broker;
use super::postgres::Postgres;

/// The longest that any awaited event may take; a restarted broker needs up to ten seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that has to happen.
pub(crate) async fn patient<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("an event within the time limit")
}

/// Waits for something that has no way to tell, by asking again and again.
pub(crate) async fn until(condition: impl AsyncFn() -> bool) {
    patient(async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Everything that a worker needs, on its own.
pub(crate) struct Stage {
    pub(crate) config: Config,
    pub(crate) environment: HashMap<String, String>,
    pub(crate) testmo: testmo_sim::Server,
    pub(crate) store: Store,
    pub(crate) vhost: String,
    dir: tempfile::TempDir,
    tenants: Tenants,
    client: Client,
    links: TaskTracker,
    close: CancellationToken,
    publisher: Publisher,
    events: Tail,
    heard: HashMap<String, Vec<Value>>,
    workers: Vec<(JoinHandle<Result<(), worker::RunError>>, CancellationToken)>,
}

impl Stage {
    /// A stage on the broker that all tests share, with tenants of these names.
    pub(crate) async fn with_tenants(tenants: &[&str]) -> Self {
        Self::on(Broker::shared(), tenants, &[]).await
    }

    /// A stage whose store is a database of this server.
    pub(crate) async fn on_postgres(server: &Postgres, tenants: &[&str], settings: &[(&str, &str)]) -> Self {
        let url = server.database();
        let settings = [settings, &[("COURIER_STORE__URL", url.as_str())]].concat();
        Self::on(Broker::shared(), tenants, &settings).await
    }

    /// A stage with further settings: `COURIER_…` and their values. Origins come on top of those of the tenants.
    pub(crate) async fn on(broker: &Broker, tenants: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::over(broker, tenants, settings, async |_, _| {}).await
    }

    /// A stage whose store is there before it is opened: `prepare` makes it at a URL, for a stand-in at an origin.
    pub(crate) async fn over(
        broker: &Broker,
        tenants: &[&str],
        settings: &[(&str, &str)],
        prepare: impl AsyncFnOnce(&str, &str),
    ) -> Self {
        // As `main` does; only the first test of the process can.
        drop(rustls::crypto::ring::default_provider().install_default());
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let vhost = format!("stage{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        broker.add_vhost(&vhost);
        let dir = tempfile::tempdir().expect("a folder");
        let testmo = testmo_sim::Server::start().await.expect("a stand-in");
        let origins: Vec<String> = tenants.iter().map(|tenant| testmo.origin(tenant)).collect();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut environment: HashMap<String, String> = [
            ("COURIER_AMQP__URL", broker.url(&vhost)),
            ("COURIER_AMQP__RECONNECT_MIN", "50ms".into()),
            ("COURIER_AMQP__RECONNECT_MAX", "1s".into()),
            ("COURIER_STORE__URL", format!("sqlite:{}", path("courier.db"))),
            ("COURIER_KEYS__MASTER_KEY_FILE", path("courier.key")),
            ("COURIER_TESTMO__ALLOW_INSECURE_ORIGINS", origins.join(",")),
            ("COURIER_TESTMO__CONNECT_TIMEOUT", "1s".into()),
            ("COURIER_TESTMO__REQUEST_TIMEOUT", "2s".into()),
            ("COURIER_TESTMO__SETTLE_ANSWERED", "50ms".into()),
            ("COURIER_TESTMO__SETTLE_UNANSWERED", "2s".into()),
            ("COURIER_TESTMO__MARGIN", "500ms".into()),
            ("COURIER_RETRY__FIRST_PAUSE", "20ms".into()),
            ("COURIER_RETRY__LONGEST_PAUSE", "200ms".into()),
            ("COURIER_SHELF__POLL", "50ms".into()),
            ("COURIER_OBSERVE__LISTEN", "127.0.0.1:0".into()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        for (key, value) in settings {
            let value = match environment.get(*key) {
                Some(origins) if *key == "COURIER_TESTMO__ALLOW_INSECURE_ORIGINS" => format!("{origins},{value}"),
                Some(_) | None => (*value).to_owned(),
            };
            environment.insert((*key).to_owned(), value);
        }
        let config = load(&Sources { files: vec![], environment: environment.clone() }).expect("a configuration");
        prepare(&config.store.url, testmo.origin("").trim_end_matches('/')).await;
        let store = Store::open(&config.store, true, Clock::system()).await.expect("a store");
        let keyring = Keyring::create(&config.keys.master_key_file).expect("a master key");
        let client = Client::new(&config.testmo, Clock::system()).expect("a client");
        let links = TaskTracker::new();
        let close = CancellationToken::new();
        let link = testmo_courier::amqp::connect_once(&config.amqp, "test").await.expect("a connection");
        let topology = testmo_courier::amqp::topology::topology(&config.amqp);
        testmo_courier::amqp::declare(&link, &topology).await.expect("a topology");
        link.close().await;
        let mut stage = Self {
            tenants: Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo)),
            // A generator in another language may send more than the worker takes.
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
        };
        for tenant in tenants {
            stage.testmo.create(tenant, AccountSpec::with_one_folder(&key_of(tenant))).expect("an account");
            stage.connect(tenant, tenant, &key_of(tenant)).await;
        }
        stage
    }

    /// Enters a connection to an account and verifies it; tells whether it works.
    pub(crate) async fn connect(&mut self, tenant: &str, account: &str, key: &str) -> bool {
        self.connect_to(tenant, &self.testmo.origin(account), key).await
    }

    /// The same, at any origin that is listed.
    pub(crate) async fn connect_to(&mut self, tenant: &str, origin: &str, key: &str) -> bool {
        let origin = self.tenants.policy().check(origin).expect("a listed origin");
        let access = Access { origin, key: SecretString::from(key) };
        let entered = Entered {
            tenant: tenant_id(tenant),
            access: access.clone(),
            expires_on: None,
            project: 1,
            folder: 1,
            mapping: MappingSpec::default(),
            resolved: Some(Mapping::default()),
        };
        let finding = verify(&self.client, &access, 1, 1).await;
        let row = self.tenants.enter(entered).expect("a sealed key").judged(finding, self.store.now());
        self.enter(&row).await;
        row.is_verified()
    }

    /// Enters a connection that has worked before, wherever it leads now.
    pub(crate) async fn connect_as_proven(&self, tenant: &str, origin: &str) {
        let origin = self.tenants.policy().check(origin).expect("a listed origin");
        let entered = Entered {
            tenant: tenant_id(tenant),
            access: Access { origin, key: SecretString::from(key_of(tenant)) },
            expires_on: None,
            project: 1,
            folder: 1,
            mapping: MappingSpec::default(),
            resolved: Some(Mapping::default()),
        };
        let works = Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into() };
        let row = self.tenants.enter(entered).expect("a sealed key").judged(works, self.store.now());
        self.enter(&row).await;
    }

    /// Stores a connection in place of the tenant's present one, whatever a worker notes of that meanwhile.
    async fn enter(&self, row: &ConnectionRow) {
        until(async || {
            let stored = self.store.connection(&row.tenant).await.expect("a store");
            let row = ConnectionRow { epoch: stored.map_or(0, |stored| stored.epoch), ..row.clone() };
            self.store.set_connection(&row).await.expect("a store").is_done()
        })
        .await;
    }

    /// The tenant's account at the stand-in.
    pub(crate) fn account(&self, tenant: &str) -> AccountHandle {
        self.testmo.account(tenant)
    }

    /// Starts a worker in this process; on PostgreSQL there can be several.
    pub(crate) fn start_worker(&mut self) {
        let stop = CancellationToken::new();
        let task = self.links.spawn(worker::run(self.config.clone(), stop.clone()));
        self.workers.push((task, stop));
    }

    /// Stops the workers as SIGTERM would.
    pub(crate) async fn stop_worker(&mut self) {
        for (task, stop) in std::mem::take(&mut self.workers) {
            stop.cancel();
            patient(task).await.expect("a worker that does not panic").expect("a worker that could run");
        }
    }

    /// Publishes bytes to the exchange for batches.
    pub(crate) async fn publish_bytes(&self, body: impl Into<Vec<u8>>) {
        self.publish_to("batch", body.into()).await.expect("a broker that takes it");
    }

    pub(crate) async fn publish_to(&self, routing_key: &str, body: Vec<u8>) -> Result<(), PublishError> {
        let outgoing = Outgoing {
            exchange: self.config.amqp.cases_exchange.clone(),
            routing_key: routing_key.to_owned(),
            body,
            content_type: Some("application/json".into()),
            ..Outgoing::default()
        };
        self.publisher.publish(outgoing).await
    }

    pub(crate) async fn publish(&self, batch: &Value) {
        self.publish_bytes(batch.to_string()).await;
    }

    /// Publishes until the broker takes it, as a generator does.
    pub(crate) async fn publish_at_last(&self, batch: &Value) {
        until(async || self.publish_to("batch", batch.to_string().into_bytes()).await.is_ok()).await;
    }

    /// Listens to events again after the broker was away.
    pub(crate) async fn listen_again(&mut self) {
        self.events = Tail::open(&self.config.amqp, "#").await.expect("the events");
    }

    /// Binds a queue for these events only, and waits until none is bound for others.
    pub(crate) async fn listen_only_to(&mut self, pattern: &str) {
        let events = Tail::open(&self.config.amqp, pattern).await.expect("the events");
        std::mem::replace(&mut self.events, events).close().await;
        let list = ["-q", "list_queues", "-p", self.vhost.as_str(), "name", "--no-table-headers"];
        until(async || Broker::shared().ctl(&list).lines().filter(|name| name.starts_with("amq.gen")).count() == 1)
            .await;
    }

    /// The next event, whatever it is about.
    pub(crate) async fn next_event(&mut self) -> Value {
        let message = patient(self.events.next()).await.expect("an event");
        serde_json::from_slice(&message.body).expect("an event in JSON")
    }

    /// Waits until the ledger has a batch as delivered.
    pub(crate) async fn settled(&self, subject: &str) {
        let key = subject.parse().expect("a batch");
        let delivered = async || {
            let stored = self.store.batch(&key).await.expect("a store");
            stored.is_some_and(|stored| stored.record.state == BatchState::Delivered)
        };
        until(delivered).await;
    }

    /// What the ledger has of a batch.
    pub(crate) async fn record(&self, subject: &str) -> BatchRecord {
        let key = subject.parse().expect("a batch");
        self.store.batch(&key).await.expect("a store").expect("a batch that was sent").record
    }

    /// The next event about a subject; `""` for messages whose batch is not known.
    pub(crate) async fn event_of(&mut self, subject: &str) -> Value {
        patient(async {
            loop {
                let heard = self.heard.entry(subject.to_owned()).or_default();
                if !heard.is_empty() {
                    return heard.remove(0);
                }
                let message = self.events.next().await.expect("an event");
                let event: Value = serde_json::from_slice(&message.body).expect("an event in JSON");
                let about = event["subject"].as_str().unwrap_or_default().to_owned();
                self.heard.entry(about).or_default().push(event);
            }
        })
        .await
    }

    /// Waits for the event that a batch is delivered, over those that it waits.
    pub(crate) async fn delivered(&mut self, subject: &str) -> Value {
        loop {
            let event = self.event_of(subject).await;
            if event["data"]["outcome"] == "delivered" {
                return event;
            }
            assert_eq!(event["type"], "com.sqai-suite.testmo.batch.deferred.v1", "{event}");
        }
    }

    /// How many events about a subject were heard and not asked for.
    pub(crate) fn heard(&self, subject: &str) -> usize {
        self.heard.get(subject).map_or(0, Vec::len)
    }

    /// What is on the shelf.
    pub(crate) async fn shelf(&self) -> Vec<Shelved> {
        self.store.shelf(&ShelfFilter::default(), 1_000).await.expect("a store")
    }

    /// Waits until the shelf is as wanted.
    pub(crate) async fn shelf_until(&self, wanted: impl Fn(&[Shelved]) -> bool) -> Vec<Shelved> {
        until(async || wanted(&self.shelf().await)).await;
        self.shelf().await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Stops everything, and fails if something is left over in the queue.
    pub(crate) async fn end(mut self) {
        self.stop_worker().await;
        self.close.cancel();
        self.events.close().await;
        self.links.close();
        patient(self.links.wait()).await;
        self.store.close().await;
        self.testmo.stop().await;
    }
}

pub(crate) fn tenant_id(text: &str) -> TenantId {
    text.parse().expect("a tenant id")
}

/// The API key of a tenant's user at the stand-in.
pub(crate) fn key_of(tenant: &str) -> String {
    format!("testmo_api_secret_of_{tenant}")
}

/// A fault of the request that creates cases.
pub(crate) fn on_create(fault: Fault) -> Rule {
    Rule::always(fault).on(Method::Post, PathKind::Cases)
}

/// A batch with `count` cases named after it.
pub(crate) fn batch(tenant: &str, id: &str, count: usize) -> Value {
    let case = |n: usize| {
        json!({"external_id": format!("TC-{n}"), "name": format!("{id} case {n}"),
               "steps": [{"action": "Open the page", "expected": "It is <b>open</b> & green"}]})
    };
    json!({"schema_version": 1, "batch_id": id, "tenant_id": tenant, "generated_at": "2026-11-23T09:30:00Z",
           "cases": (1..=count).map(case).collect::<Vec<_>>()})
}

/// The names of a batch's cases, in order.
pub(crate) fn names(id: &str, count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("{id} case {n}")).collect()
}

/// The day so many days from now, as `2026-12-31`.
pub(crate) fn in_days(days: i64) -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
    then.to_string()[..10].to_owned()
}
