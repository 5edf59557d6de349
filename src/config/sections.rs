//! Which settings are there, and which values may they have?

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;

/// A checked configuration; each field stands with its meaning in `config/default.toml`.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Config {
    pub amqp: Amqp,
    pub store: Store,
    pub keys: Keys,
    pub testmo: Testmo,
    pub push: Push,
    pub retry: Retry,
    pub shelf: Shelf,
    pub worker: Worker,
    pub events: Events,
    pub observe: Observe,
    pub log: Log,
    /// No setting: where a worker that is built for tests ends itself, as `COURIER_CRASH_AT` says.
    #[cfg(debug_assertions)]
    pub crash_at: Option<String>,
    /// No setting: where a worker that is built for tests panics, as `COURIER_PANIC_AT` says.
    #[cfg(debug_assertions)]
    pub panic_at: Option<String>,
}

/// `[amqp]`
#[derive(Clone)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Amqp {
    pub url: String,
    pub connection_name: String,
    pub declare: bool,
    pub prefetch: u16,
    pub max_message_bytes: usize,
    pub publish_channels: usize,
    pub delivery_limit: u32,
    pub connect_timeout: Duration,
    pub rpc_timeout: Duration,
    pub publish_timeout: Duration,
    pub confirm_timeout: Duration,
    pub close_timeout: Duration,
    pub reconnect_min: Duration,
    pub reconnect_max: Duration,
    pub cases_exchange: String,
    pub cases_queue: String,
    pub cases_binding: String,
    pub dead_exchange: String,
    pub dead_queue: String,
    pub unrouted_exchange: String,
    pub unrouted_queue: String,
    pub events_exchange: String,
}

/// `[store]`
#[derive(Clone)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Store {
    pub url: String,
    pub connections: u32,
    pub retention: Duration,
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
    pub allow_insecure_origins: Vec<String>,
    pub connect_timeout: Duration,
    pub request_timeout: Duration,
    pub settle_answered: Duration,
    pub settle_unanswered: Duration,
    pub last_look: Duration,
    pub folder_window: Duration,
    pub margin: Duration,
    pub max_answer_bytes: usize,
}

/// `[push]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Push {
    pub max_cases: usize,
    pub max_bytes: usize,
    pub pack: bool,
    pub concurrency: usize,
    pub account_limit: u32,
    pub in_flight: usize,
}

/// `[retry]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Retry {
    pub tries: u32,
    pub first_pause: Duration,
    pub longest_pause: Duration,
    pub first_park: Duration,
    pub longest_park: Duration,
    pub horizon: Duration,
    pub least_parks: u32,
}

/// `[shelf]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Shelf {
    pub poll: Duration,
    pub lease: Duration,
}

/// `[worker]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Worker {
    pub drain: Duration,
    pub memory: usize,
    pub longest_wait: Duration,
}

/// `[events]`
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Events {
    pub unheard_for: Duration,
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

/// How log lines are written.
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
        amqp: read_amqp(r),
        store: Store {
            url: read_store_url(r),
            connections: r.whole("store.connections", 2..=200),
            retention: r.time("store.retention", SECOND..=HOUR * 24 * 3_650),
            max_file_bytes: r.whole("store.max_file_bytes", 0..=1 << 46),
        },
        keys: Keys { master_key_file: PathBuf::from(r.text("keys.master_key_file")) },
        testmo: read_testmo(r),
        push: Push {
            max_cases: r.whole("push.max_cases", 1..=100),
            max_bytes: r.whole("push.max_bytes", 1_000..=100_000_000),
            pack: r.truth("push.pack"),
            concurrency: r.whole("push.concurrency", 1..=1_000),
            account_limit: r.whole("push.account_limit", 1..=10_000),
            in_flight: r.whole("push.in_flight", 1..=10_000),
        },
        retry: read_retry(r),
        shelf: Shelf { poll: r.time("shelf.poll", SOON..=HOUR), lease: r.time("shelf.lease", SECOND..=HOUR * 24) },
        worker: Worker {
            drain: r.time("worker.drain", SOON..=HOUR),
            memory: r.whole("worker.memory", 1_000_000..=100_000_000_000),
            longest_wait: r.time("worker.longest_wait", SOON..=SECOND * 600),
        },
        events: Events { unheard_for: r.time("events.unheard_for", SECOND..=HOUR * 24 * 3_650) },
        observe: Observe {
            listen: r
                .parsed("observe.listen", "an address and port, such as 127.0.0.1:9464")
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
        },
        log: read_log(r),
        #[cfg(debug_assertions)]
        crash_at: None,
        #[cfg(debug_assertions)]
        panic_at: None,
    }
}

fn read_amqp(r: &mut Reader<'_>) -> Amqp {
    let url = r.text("amqp.url");
    if !url::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "amqp" | "amqps") && url.has_host()) {
        r.problem("amqp.url", "an address such as amqp://user:password@host:5672/%2f");
    }
    let longest = SECOND..=SECOND * 600;
    Amqp {
        url,
        connection_name: r.name("amqp.connection_name"),
        declare: r.truth("amqp.declare"),
        prefetch: r.whole("amqp.prefetch", 1..=2_000),
        max_message_bytes: r.whole("amqp.max_message_bytes", 1_000..=134_217_728),
        publish_channels: r.whole("amqp.publish_channels", 1..=256),
        delivery_limit: r.whole("amqp.delivery_limit", 1..=1_000_000),
        connect_timeout: r.time("amqp.connect_timeout", longest.clone()),
        rpc_timeout: r.time("amqp.rpc_timeout", longest.clone()),
        publish_timeout: r.time("amqp.publish_timeout", longest.clone()),
        confirm_timeout: r.time("amqp.confirm_timeout", longest.clone()),
        close_timeout: r.time("amqp.close_timeout", longest),
        reconnect_min: r.time("amqp.reconnect_min", SOON..=SECOND * 60),
        reconnect_max: r.time("amqp.reconnect_max", SOON..=SECOND * 600),
        cases_exchange: r.name("amqp.cases_exchange"),
        cases_queue: r.name("amqp.cases_queue"),
        cases_binding: r.name("amqp.cases_binding"),
        dead_exchange: r.name("amqp.dead_exchange"),
        dead_queue: r.name("amqp.dead_queue"),
        unrouted_exchange: r.name("amqp.unrouted_exchange"),
        unrouted_queue: r.name("amqp.unrouted_queue"),
        events_exchange: r.name("amqp.events_exchange"),
    }
}

fn read_store_url(r: &mut Reader<'_>) -> String {
    let url = r.text("store.url");
    let fits = match url.strip_prefix("sqlite:") {
        Some(path) => !path.trim_start_matches('/').is_empty(),
        None => is_server(&url) && url::Url::parse(&url).is_ok(),
    };
    if !fits {
        r.problem("store.url", "sqlite:FILE, or postgres://USER:PASSWORD@HOST:5432/DATABASE");
    }
    url
}

fn is_server(url: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme))
}

fn read_testmo(r: &mut Reader<'_>) -> Testmo {
    let longest = SOON..=SECOND * 600;
    Testmo {
        allowed_hosts: r.list("testmo.allowed_hosts"),
        allow_insecure_origins: r.list("testmo.allow_insecure_origins"),
        connect_timeout: r.time("testmo.connect_timeout", longest.clone()),
        request_timeout: r.time("testmo.request_timeout", longest.clone()),
        settle_answered: r.time("testmo.settle_answered", longest.clone()),
        settle_unanswered: r.time("testmo.settle_unanswered", SOON..=HOUR),
        last_look: r.time("testmo.last_look", SOON..=HOUR * 24),
        folder_window: r.time("testmo.folder_window", SOON..=HOUR * 24 * 30),
        margin: r.time("testmo.margin", longest),
        max_answer_bytes: r.whole("testmo.max_answer_bytes", 100_000..=1_073_741_824),
    }
}

fn read_retry(r: &mut Reader<'_>) -> Retry {
    Retry {
        tries: r.whole("retry.tries", 1..=100),
        first_pause: r.time("retry.first_pause", SOON..=SECOND * 60),
        longest_pause: r.time("retry.longest_pause", SOON..=SECOND * 300),
        first_park: r.time("retry.first_park", SOON..=HOUR * 24),
        longest_park: r.time("retry.longest_park", SOON..=HOUR * 24),
        horizon: r.time("retry.horizon", SOON..=HOUR * 24 * 90),
        least_parks: r.whole("retry.least_parks", 0..=1_000),
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
    /// Values that are fine alone but not together.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut ordered = |low: (&str, Duration), high: (&str, Duration)| {
            if low.1 > high.1 {
                problems.push(format!("`{}` has to be at most `{}`", low.0, high.0));
            }
        };
        let t = &self.testmo;
        ordered(("testmo.request_timeout", t.request_timeout), ("testmo.settle_unanswered", t.settle_unanswered));
        ordered(("testmo.connect_timeout", t.connect_timeout), ("testmo.request_timeout", t.request_timeout));
        let retry = &self.retry;
        ordered(("retry.first_pause", retry.first_pause), ("retry.longest_pause", retry.longest_pause));
        ordered(("retry.first_park", retry.first_park), ("retry.longest_park", retry.longest_park));
        ordered(("amqp.reconnect_min", self.amqp.reconnect_min), ("amqp.reconnect_max", self.amqp.reconnect_max));
        problems
    }
}

impl Testmo {
    /// How long a claim holds: nothing of its request can be committed after it, even if the request began as late as
    /// it may and the worker was paused for the margin right before.
    pub fn lease(&self) -> Duration {
        let begun_by = self.latest_start() + self.margin;
        begun_by + self.connect_timeout + self.request_timeout + self.settle_unanswered
    }

    /// How long after its claim was asked for a request may still begin.
    pub fn latest_start(&self) -> Duration {
        self.margin
    }
}

/// A URL with its passwords, if any, replaced by stars: PostgreSQL takes one among the parameters too.
pub fn redacted(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else { return "***".into() };
    if parsed.password().is_some() && parsed.set_password(Some("***")).is_err() {
        return "***".into();
    }
    if parsed.query_pairs().any(|(name, _)| name == "password") {
        let pairs: Vec<(String, String)> = parsed.query_pairs().into_owned().collect();
        let shown = |(name, value): (String, String)| {
            let value = if name == "password" { "***".to_owned() } else { value };
            (name, value)
        };
        parsed.query_pairs_mut().clear().extend_pairs(pairs.into_iter().map(shown));
    }
    parsed.into()
}

impl Store {
    /// Whether it is a database on a server, which several workers can share.
    pub fn is_shared(&self) -> bool {
        is_server(&self.url)
    }
}

impl Amqp {
    /// The URL without its password.
    pub fn redacted_url(&self) -> String {
        redacted(&self.url)
    }
}

impl std::fmt::Debug for Amqp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Amqp({})", self.redacted_url())
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", redacted(&self.url))
    }
}
