//! Sets up a run: the neighbours, and the settings of the workers between them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use secrecy::SecretString;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::batch::render::mapping_spec::MappingSpec;
use testmo_courier::batch::undo::Retired;
use testmo_courier::batch::{Reason, TenantId, raw_hash};
use testmo_courier::config::{Config, Sources, load};
use testmo_courier::store::connections::{ConnectionRow, Verification};
use testmo_courier::store::shelf::{ShelfIdentity, ShelvedUntil, Shelving};
use testmo_courier::tenants::{Entered, Keyring, Tenants};
use testmo_courier::testmo::{Access, AddressPolicy};
use testmo_courier::worker::View;
use testmo_sim::Time;
use testmo_sim::model::{Role, TagsFilter};
use testmo_sim::world::{AccountSpec, FolderSpec, ProjectSpec, UserSpec, World};
use tokio::sync::mpsc;

use crate::batches::LARGEST_REQUEST;
use crate::broker::Broker;
use crate::diary::{Diary, lock};
use crate::fuse::Fuse;
use crate::plan::{ACCOUNTS, Kind, Plan, TenantPlan, origin_of};
use crate::store::tables::Tables;
use crate::store::{MemoryStore, POISON, StoreOf};
use crate::testmo::Testmo;
use crate::weather::Weather;

/// The key of the person who edits cases.
pub(crate) const PERSON: &str = "testmo_api_of_a_person";
/// The state of cases that are retired, in a new account.
pub(crate) const DEPRECATED: u64 = 5;
/// How often the broker delivers a message again.
const DELIVERY_LIMIT: u64 = 50;

/// Everything around the workers.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) config: Config,
    pub(crate) keyring: Keyring,
    pub(crate) diary: Arc<Diary>,
    pub(crate) weather: Arc<Weather>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) broker: Arc<Broker>,
    pub(crate) testmo: Arc<Testmo>,
    tenants: Tenants,
    policy: AddressPolicy,
    plans: Vec<TenantPlan>,
    /// The account of each tenant.
    accounts: Mutex<Vec<&'static str>>,
    /// How many keys each tenant has had.
    keys: Mutex<Vec<u32>>,
    broken: Mutex<Vec<String>>,
    /// Where the lanes of each running worker can be seen, by its number.
    views: Mutex<BTreeMap<u64, mpsc::Sender<View>>>,
}

static DEFAULTS: LazyLock<Config> = LazyLock::new(|| {
    let settings = [
        ("COURIER_AMQP__DELIVERY_LIMIT", "50"),
        ("COURIER_TESTMO__CONNECT_TIMEOUT", "1s"),
        ("COURIER_TESTMO__REQUEST_TIMEOUT", "4s"),
        ("COURIER_TESTMO__RECONCILE_DELAY_ANSWERED", "500ms"),
        ("COURIER_TESTMO__RECONCILE_DELAY_UNANSWERED", "5s"),
        ("COURIER_TESTMO__CLAIM_MARGIN", "1s"),
        // By then, no late request can take effect any more.
        ("COURIER_TESTMO__LATE_DUPLICATE_CHECK_DELAY", "30s"),
        ("COURIER_TESTMO__FOLDER_CREATE_WINDOW", "10m"),
        ("COURIER_SHELF__POLL_INTERVAL", "3s"),
        ("COURIER_RETRY__SHELF_BACKOFF_MIN", "2s"),
        ("COURIER_RETRY__SHELF_BACKOFF_MAX", "20s"),
        ("COURIER_SHELF__LEASE_DURATION", "2m"),
        ("COURIER_WORKER__DRAIN_TIMEOUT", "6s"),
    ];
    let environment = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut config = load(&Sources { files: vec![], environment }).expect("the defaults and these settings");
    // The worker's jitter would make two runs of a seed differ; the weather draws the length of pauses instead.
    (config.retry.backoff_min, config.retry.backoff_max) = (Duration::ZERO, Duration::ZERO);
    config
});

/// Returns the settings of all workers, before the plan's limits.
pub(crate) fn config() -> Config {
    DEFAULTS.clone()
}

/// Always the same master key, so that values derived from it are the same in all runs of a seed.
static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "5a".repeat(32)).expect("a written file");
    Keyring::load(file.path()).expect("a master key")
});

impl Stage {
    pub(crate) fn set(plan: &Plan, keeps_diary: bool) -> Self {
        let mut config = config();
        let limits = plan.limits;
        (config.requests.max_cases, config.requests.account_concurrency_per_worker) =
            (limits.max_cases, limits.concurrency);
        (config.requests.account_concurrency, config.requests.pack_batches) = (limits.account_limit, limits.pack);
        (config.amqp.prefetch, config.retry.max_attempts) = (limits.prefetch, limits.tries);
        config.worker.max_queue_time = limits.longest_wait;
        let diary = Arc::new(Diary::begin(keeps_diary));
        let weather = Arc::new(Weather::new(plan.seed ^ 0x5eed, plan.rates));
        let tables = Tables { shared: plan.replicas > 1, mutation: plan.mutation, ..Tables::default() };
        let store = MemoryStore::new(tables, diary.clone(), weather.clone());
        let broker = Broker::new(DELIVERY_LIMIT, plan.mutation, diary.clone(), weather.clone());
        let world = world(plan, diary.true_time());
        let (keeps_to, limit) = (config.testmo.clone(), config.requests.account_concurrency);
        let (kept, mutation) = (store.clone(), plan.mutation);
        let testmo = Testmo::new(world, keeps_to, limit, kept, mutation, diary.clone(), weather.clone());
        let policy = AddressPolicy::new(&config.testmo);
        let operator = Arc::new(store.of(0, Fuse::new()));
        let stage = Self {
            tenants: Tenants::new(operator, KEYRING.clone(), policy.clone()),
            keyring: KEYRING.clone(),
            policy,
            plans: plan.tenants.clone(),
            accounts: Mutex::new(plan.tenants.iter().map(|tenant| tenant.account).collect()),
            keys: Mutex::new(vec![0; plan.tenants.len()]),
            config,
            diary,
            weather,
            store,
            broker,
            testmo,
            broken: Mutex::default(),
            views: Mutex::default(),
        };
        for (number, tenant) in plan.tenants.iter().enumerate() {
            if tenant.connected {
                stage.connect(number);
            }
        }
        stage
    }

    /// Enters the tenant's present key, which passes verification.
    pub(crate) fn connect(&self, number: usize) {
        let tenant = &self.plans[number];
        let key = lock(&self.keys)[number];
        let retired = Some(Retired { state_id: Some(DEPRECATED), folder_id: None });
        let mapping = Mapping { batch_tag: tenant.batch_tag, dropped: tenant.dropped, retired, ..Mapping::default() };
        let origin = self.policy.check(&origin_of(self.account_of(number))).expect("an origin");
        let entered = Entered {
            tenant: tenant.id(),
            access: Access { origin, key: SecretString::from(key_of(&tenant.name, key)) },
            expires_on: None,
            project: 1,
            folder: tenant.folder,
            mapping: MappingSpec::default(),
            resolved: Some(mapping),
            fields: Default::default(),
        };
        let row = self.tenants.enter(entered).expect("a sealed key");
        let works =
            Verification::Works { user: "u".into(), project: "p".into(), folder: "f".into(), not_there: vec![] };
        self.store.at_once(|tables, now| {
            let epoch = tables.connection(&tenant.id()).map_or(0, |stored| stored.epoch);
            tables.set_connection(&ConnectionRow { epoch, ..row.judged(works, now) }, now)
        });
        self.diary.note(|| format!("{} is connected with key {key}", tenant.name));
    }

    /// Puts a message on the shelf that is due.
    pub(crate) fn shelve(&self, tenant: Option<TenantId>, reason: Reason, body: &[u8]) {
        let shelving = |now| Shelving {
            identity: ShelfIdentity::Raw(raw_hash(body), tenant.clone(), None),
            reason,
            detail: None,
            until: ShelvedUntil::After(Duration::ZERO),
            account: None,
            connection: None,
            parks: 0,
            failing_since: None,
            arrived_at: now,
            published_at: None,
            headers: BTreeMap::new(),
            body: body.to_vec().into(),
        };
        self.store.at_once(|tables, now| tables.put_on_shelf(&shelving(now), now));
    }

    /// Makes Testmo refuse the tenant's key.
    pub(crate) fn revoke(&self, number: usize) {
        let account = self.account_of(number);
        self.testmo.world(|world| world.station_mut(account).map(|s| s.account.revoke_key(user_of(number))));
    }

    /// Gives the tenant a new key, and enters it.
    pub(crate) fn renew(&self, number: usize) {
        let tenant = &self.plans[number];
        let key = {
            let mut keys = lock(&self.keys);
            keys[number] += 1;
            key_of(&tenant.name, keys[number])
        };
        let account = self.account_of(number);
        let renewed = |world: &mut World| {
            world.station_mut(account).and_then(|s| s.account.renew_key(user_of(number), Some(key)))
        };
        self.testmo.world(renewed);
        self.connect(number);
    }

    /// Returns the account that a tenant is connected to.
    pub(crate) fn account_of(&self, number: usize) -> &'static str {
        lock(&self.accounts)[number]
    }

    /// Connects the tenant to another account.
    pub(crate) fn move_to(&self, number: usize, account: &'static str) {
        lock(&self.accounts)[number] = account;
        self.renew(number);
    }

    /// Returns what a person at a store of their own knows the tenants' connections by.
    pub(crate) fn tenants_at(&self, store: StoreOf) -> Tenants {
        Tenants::new(Arc::new(store), self.keyring.clone(), self.policy.clone())
    }

    /// Sets the store's clock, within what the worker assumes about clocks: leases may end early by at most the margin.
    pub(crate) fn jump(&self, ms: i64) {
        let leased = self.store.at_once(|tables, now| {
            let pushing =
                tables.batches.values().any(|entry| entry.stored.lease_until.is_some_and(|until| until > now));
            pushing || tables.folder_claims.values().any(|claimed| claimed.until > now)
        });
        let margin = i64::try_from(self.config.testmo.claim_margin.as_millis()).unwrap_or(i64::MAX);
        let bounded = if leased && ms > 0 { margin - 1 } else { ms };
        // The margin allows this only once in a run.
        if !leased || ms < 0 || self.diary.spend_margin() {
            self.diary.jump(bounded);
            self.diary.note(|| format!("the store's clock jumps by {bounded} ms"));
        }
    }

    /// Returns whether the cases of a tenant carry their batch tag.
    pub(crate) fn has_batch_tag(&self, tenant: &TenantId) -> bool {
        self.plans.iter().any(|plan| plan.batch_tag && plan.id() == *tenant)
    }

    /// Returns the id of a tenant.
    pub(crate) fn tenant(&self, number: usize) -> TenantId {
        self.plans[number].id()
    }

    /// Records a violation.
    pub(crate) fn complain(&self, what: String) {
        self.diary.note(|| what.clone());
        lock(&self.broken).push(what);
    }

    /// Records a violation unless it is recorded already.
    pub(crate) fn complain_once(&self, what: String) {
        if !lock(&self.broken).contains(&what) {
            self.complain(what);
        }
    }

    /// Notes where the lanes of a worker can be seen, or that it is gone.
    pub(crate) fn show_lanes(&self, worker: u64, views: Option<mpsc::Sender<View>>) {
        self.store.at_once(|tables, _| match &views {
            Some(_) => tables.alive.insert(worker),
            None => tables.alive.remove(&worker),
        });
        match views {
            Some(views) => drop(lock(&self.views).insert(worker, views)),
            None => drop(lock(&self.views).remove(&worker)),
        }
    }

    /// Returns where the lanes of each running worker can be seen.
    pub(crate) fn views(&self) -> Vec<(u64, mpsc::Sender<View>)> {
        lock(&self.views).iter().map(|(worker, views)| (*worker, views.clone())).collect()
    }

    /// Returns all violations so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        [lock(&self.broken).clone(), self.testmo.broken()].concat()
    }
}

fn key_of(tenant: &str, number: u32) -> String {
    format!("testmo_api_{tenant}_{number}")
}

/// Returns whether the tenant has had the key.
pub(crate) fn is_key_of(tenant: &str, key: &str) -> bool {
    key.rsplit_once('_')
        .is_some_and(|(name, number)| name.strip_prefix("testmo_api_") == Some(tenant) && number.parse::<u32>().is_ok())
}

/// Returns the user who edits cases.
fn person() -> UserSpec {
    UserSpec { id: Some(99), name: "a person".into(), token: PERSON.into(), role: Role::Write }
}

fn user_of(tenant: usize) -> u64 {
    tenant as u64 + 1
}

fn world(plan: &Plan, now: i64) -> World {
    let mut world = World::default();
    for (number, account) in ACCOUNTS.into_iter().enumerate() {
        let user = |(n, tenant): (usize, &TenantPlan)| UserSpec {
            id: Some(user_of(n)),
            name: tenant.name.clone(),
            token: key_of(&tenant.name, 0),
            role: Role::Write,
        };
        let here = plan.tenants.iter().enumerate().filter(|(_, tenant)| plan.roams || tenant.account == account);
        let folder = |id, name: &str| FolderSpec { id: Some(id), name: name.to_owned(), folders: Vec::new() };
        let mut spec = AccountSpec {
            users: here.map(user).chain([person()]).collect(),
            projects: vec![ProjectSpec {
                id: Some(1),
                name: "Shop".to_owned(),
                folders: vec![folder(1, "Generated"), folder(2, "Other")],
                ..ProjectSpec::default()
            }],
            ..AccountSpec::default()
        };
        if plan.kind != Kind::Quiet {
            spec.settings.body_limit_bytes = LARGEST_REQUEST;
        }
        // Clocks differ, this one by hours; the worker learns the difference from the answers.
        spec.settings.clock_skew_ms = [0, 5_000_000, -9_000_000][(plan.seed as usize + number) % 3];
        let filters = [TagsFilter::Any, TagsFilter::All, TagsFilter::Late(3_000), TagsFilter::Any, TagsFilter::Ignored];
        spec.settings.tags_filter = filters[(plan.seed as usize + number) % filters.len()];
        world.put(account, spec, Time(now)).expect("an account");
    }
    world
}

/// Returns the message that stops every worker that reads it, if the plan has one.
pub(crate) fn poison(plan: &Plan) -> Option<Vec<u8>> {
    let message = serde_json::json!({"schema_version": 1, "batch_id": "poison", "tenant_id": POISON,
                                     "generated_at": "2026-11-23T09:30:00Z", "cases": [{"name": "poison"}]});
    (plan.kind == Kind::Poison).then(|| message.to_string().into_bytes())
}
