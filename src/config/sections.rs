//! Defines every setting and the values that it may have.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::address::{Written, read_store_url};
use super::admin::Admin;
use super::amqp::Amqp;
use super::reader::Reader;
use super::secret::Secret;
use super::tenants::Tenants;
use super::traces::Traces;
use super::url::{SecretUrl, file_of, is_server, redacted};

/// A checked configuration; `config/default.toml` documents every field.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Config {
    pub amqp: Amqp,
    pub store: Store,
    pub keys: Keys,
    pub tenants: Tenants,
    pub testmo: Testmo,
    pub requests: Requests,
    pub content: Content,
    pub retry: Retry,
    pub shelf: Shelf,
    pub worker: Worker,
    pub events: Events,
    pub observe: Observe,
    pub admin: Admin,
    pub log: Log,
    pub traces: Traces,
    /// Not a setting: the point at which a worker that is built for tests ends itself, from `COURIER_CRASH_AT`.
    #[cfg(debug_assertions)]
    pub crash_at: Option<String>,
    /// Not a setting: the point at which a worker that is built for tests panics, from `COURIER_PANIC_AT`.
    #[cfg(debug_assertions)]
    pub panic_at: Option<String>,
}

/// `[store]`
#[derive(Clone)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Store {
    pub url: String,
    pub written: Written,
    pub max_connections: u32,
    pub retention: Duration,
    pub audit_retention: Duration,
    pub max_file_bytes: u64,
}

/// `[keys]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Keys {
    pub master_key_file: PathBuf,
}

/// `[testmo]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Testmo {
    pub allowed_hosts: Vec<String>,
    pub allowed_insecure_origins: Vec<String>,
    pub proxy: SecretUrl,
    pub proxy_file: Option<PathBuf>,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
    pub reconcile_delay_answered: Duration,
    pub reconcile_delay_unanswered: Duration,
    pub late_duplicate_check_delay: Duration,
    pub folder_create_window: Duration,
    pub claim_margin: Duration,
    pub max_response_bytes: usize,
}

/// `[requests]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Requests {
    pub max_cases: usize,
    pub max_bytes: usize,
    pub pack_batches: bool,
    pub account_concurrency_per_worker: usize,
    pub account_concurrency: u32,
    pub worker_concurrency: usize,
}

/// `[content]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Content {
    pub remember: Duration,
}

/// `[retry]`
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Retry {
    pub max_attempts: u32,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    pub shelf_backoff_min: Duration,
    pub shelf_backoff_max: Duration,
    pub give_up_after: Duration,
    pub give_up_min_retries: u32,
}

/// `[shelf]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Shelf {
    pub poll_interval: Duration,
    pub lease_duration: Duration,
    pub unknown_tenant_for: Duration,
}

/// `[worker]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Worker {
    pub name: String,
    pub drain_timeout: Duration,
    pub max_queued_bytes: usize,
    pub max_queue_time: Duration,
}

/// `[events]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Events {
    pub unroutable_alert_after: Duration,
}

/// `[observe]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Observe {
    pub listen: SocketAddr,
}

/// `[log]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(()),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const SOON: Duration = Duration::from_millis(1);

pub(super) fn read(r: &mut Reader<'_>) -> Config {
    Config {
        amqp: Amqp::read(r),
        store: read_store(r),
        keys: Keys { master_key_file: PathBuf::from(r.text("keys.master_key_file")) },
        tenants: Tenants::read(r),
        testmo: read_testmo(r),
        requests: Requests {
            max_cases: r.whole("requests.max_cases", 1..=100),
            max_bytes: r.whole("requests.max_bytes", 1_000..=100_000_000),
            pack_batches: r.truth("requests.pack_batches"),
            account_concurrency_per_worker: r.whole("requests.account_concurrency_per_worker", 1..=1_000),
            account_concurrency: r.whole("requests.account_concurrency", 1..=10_000),
            worker_concurrency: r.whole("requests.worker_concurrency", 1..=10_000),
        },
        content: Content { remember: r.time("content.remember", HOUR * 24..=HOUR * 24 * 3_650) },
        retry: read_retry(r),
        shelf: Shelf {
            poll_interval: r.time("shelf.poll_interval", SOON..=HOUR),
            lease_duration: r.time("shelf.lease_duration", SECOND..=HOUR * 24),
            unknown_tenant_for: r.time("shelf.unknown_tenant_for", HOUR..=HOUR * 24 * 365),
        },
        worker: Worker {
            name: r.text("worker.name"),
            drain_timeout: r.time("worker.drain_timeout", SOON..=HOUR),
            max_queued_bytes: r.whole("worker.max_queued_bytes", 1_000_000..=100_000_000_000),
            max_queue_time: r.time("worker.max_queue_time", SOON..=SECOND * 600),
        },
        events: Events { unroutable_alert_after: r.time("events.unroutable_alert_after", SECOND..=HOUR * 24 * 3_650) },
        observe: Observe {
            listen: r
                .parsed("observe.listen", "an address and port, such as 127.0.0.1:9464")
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        },
        admin: Admin::read(r),
        log: read_log(r),
        traces: Traces::read(r),
        #[cfg(debug_assertions)]
        crash_at: None,
        #[cfg(debug_assertions)]
        panic_at: None,
    }
}

fn read_store(r: &mut Reader<'_>) -> Store {
    let (url, written) = read_store_url(r);
    Store {
        url,
        written,
        max_connections: r.whole("store.max_connections", 2..=200),
        retention: r.time("store.retention", SECOND..=HOUR * 24 * 3_650),
        audit_retention: r.time("store.audit_retention", SECOND..=HOUR * 24 * 36_500),
        max_file_bytes: r.whole("store.max_file_bytes", 0..=1 << 46),
    }
}

fn read_testmo(r: &mut Reader<'_>) -> Testmo {
    let longest = SOON..=SECOND * 600;
    let (proxy, proxy_file) = read_proxy(r);
    Testmo {
        allowed_hosts: r.list("testmo.allowed_hosts"),
        allowed_insecure_origins: r.list("testmo.allowed_insecure_origins"),
        proxy,
        proxy_file,
        connect_timeout: r.time("testmo.connect_timeout", longest.clone()),
        request_timeout: r.time("testmo.request_timeout", longest.clone()),
        reconcile_delay_answered: r.time("testmo.reconcile_delay_answered", longest.clone()),
        reconcile_delay_unanswered: r.time("testmo.reconcile_delay_unanswered", SOON..=HOUR),
        late_duplicate_check_delay: r.time("testmo.late_duplicate_check_delay", SOON..=HOUR * 24),
        folder_create_window: r.time("testmo.folder_create_window", SOON..=HOUR * 24 * 30),
        claim_margin: r.time("testmo.claim_margin", longest),
        max_response_bytes: r.whole("testmo.max_response_bytes", 100_000..=1_073_741_824),
    }
}

fn read_proxy(r: &mut Reader<'_>) -> (SecretUrl, Option<PathBuf>) {
    let Secret { text, file, name } = Secret::read(r, "testmo.proxy");
    let url = text.unwrap_or_default();
    let is_proxy = |url: &str| url::Url::parse(url).is_ok_and(|url| url.scheme() == "http" && url.has_host());
    if !url.is_empty() && !is_proxy(&url) {
        r.problem(&name, "empty, or an address such as http://user:password@proxy:3128");
    }
    (SecretUrl::new(url), file)
}

fn read_retry(r: &mut Reader<'_>) -> Retry {
    Retry {
        max_attempts: r.whole("retry.max_attempts", 1..=100),
        backoff_min: r.time("retry.backoff_min", SOON..=SECOND * 60),
        backoff_max: r.time("retry.backoff_max", SOON..=SECOND * 300),
        shelf_backoff_min: r.time("retry.shelf_backoff_min", SOON..=HOUR * 24),
        shelf_backoff_max: r.time("retry.shelf_backoff_max", SOON..=HOUR * 24),
        give_up_after: r.time("retry.give_up_after", SOON..=HOUR * 24 * 90),
        give_up_min_retries: r.whole("retry.give_up_min_retries", 0..=1_000),
    }
}

fn read_log(r: &mut Reader<'_>) -> Log {
    let level = r.text("log.level");
    if level.parse::<tracing_subscriber::EnvFilter>().is_err() {
        r.problem("log.level", "error, warn, info, debug or trace");
    }
    let format = r.parsed("log.format", "auto, human or json").unwrap_or(LogFormat::Auto);
    Log { format, level }
}

impl Config {
    /// Returns a sentence for each pair of values that are valid alone but not together.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut ordered = |low: (&str, Duration), high: (&str, Duration)| {
            if low.1 > high.1 {
                problems.push(format!("`{}` has to be at most `{}`", low.0, high.0));
            }
        };
        let t = &self.testmo;
        ordered(
            ("testmo.request_timeout", t.request_timeout),
            ("testmo.reconcile_delay_unanswered", t.reconcile_delay_unanswered),
        );
        ordered(("testmo.connect_timeout", t.connect_timeout), ("testmo.request_timeout", t.request_timeout));
        let retry = &self.retry;
        ordered(("retry.backoff_min", retry.backoff_min), ("retry.backoff_max", retry.backoff_max));
        ordered(
            ("retry.shelf_backoff_min", retry.shelf_backoff_min),
            ("retry.shelf_backoff_max", retry.shelf_backoff_max),
        );
        ordered(
            ("amqp.reconnect_backoff_min", self.amqp.reconnect_backoff_min),
            ("amqp.reconnect_backoff_max", self.amqp.reconnect_backoff_max),
        );
        problems.extend(self.admin.contradiction());
        problems
    }
}

impl Testmo {
    /// Returns how long a claim holds: nothing of its request can be committed later, even if the request began as late
    /// as allowed and the worker was paused for the margin right before it.
    pub fn lease(&self) -> Duration {
        let begun_by = self.latest_start() + self.claim_margin;
        begun_by + self.connect_timeout + self.request_timeout + self.reconcile_delay_unanswered
    }

    /// Returns how long after its claim was requested a create request may still begin.
    pub fn latest_start(&self) -> Duration {
        self.claim_margin
    }
}

impl Store {
    /// Returns whether the store is a database on a server, which several workers can share.
    pub fn is_shared(&self) -> bool {
        is_server(&self.url)
    }

    /// Returns the file of an SQLite store, as it is written in the URL.
    pub fn file(&self) -> Option<PathBuf> {
        file_of(&self.url).map(|(path, _)| PathBuf::from(path))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", redacted(&self.url))
    }
}
