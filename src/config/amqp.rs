//! Defines the settings of the connection to RabbitMQ.

use std::path::PathBuf;
use std::time::Duration;

use super::address::{Written, read_amqp_url};
use super::reader::Reader;
use super::secret::unusable;
use super::url::redacted;

/// `[amqp]`
#[derive(Clone)]
#[expect(missing_docs, reason = "config/default.toml documents every key")]
pub struct Amqp {
    pub url: String,
    pub written: Written,
    pub ca_file: Option<PathBuf>,
    pub client_cert_file: Option<PathBuf>,
    pub client_key_file: Option<PathBuf>,
    pub connection_name: String,
    pub tenant_binding: TenantBinding,
    pub declare_topology: bool,
    pub prefetch: u16,
    pub max_message_bytes: usize,
    pub publish_channels: usize,
    pub delivery_limit: u32,
    pub connect_timeout: Duration,
    pub rpc_timeout: Duration,
    pub publish_timeout: Duration,
    pub confirm_timeout: Duration,
    pub close_timeout: Duration,
    pub reconnect_backoff_min: Duration,
    pub reconnect_backoff_max: Duration,
    pub cases_exchange: String,
    pub cases_queue: String,
    pub cases_binding_key: String,
    pub dead_letter_exchange: String,
    pub dead_letter_queue: String,
    pub unrouted_exchange: String,
    pub unrouted_queue: String,
    pub events_exchange: String,
}

/// What of a message has to name its tenant, beside the message itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantBinding {
    /// Nothing: every user that may publish batches may publish for every tenant.
    None,
    /// The property `user_id`, which the broker checks.
    UserId,
    /// What follows the first dot of the routing key, which the broker can limit for a user.
    RoutingKey,
}

impl TenantBinding {
    /// Returns the word for it in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::UserId => "user_id",
            Self::RoutingKey => "routing_key",
        }
    }
}

impl std::str::FromStr for TenantBinding {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::None, Self::UserId, Self::RoutingKey].into_iter().find(|binding| binding.name() == text).ok_or(())
    }
}

/// The files of the authority, and of the certificate and the key of the client.
const CERTIFICATES: [&str; 3] = ["amqp.ca_file", "amqp.client_cert_file", "amqp.client_key_file"];

const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(1);

impl Amqp {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let (url, written) = read_amqp_url(r);
        let [ca_file, client_cert_file, client_key_file] = read_certificates(r, &url);
        let longest = SECOND..=SECOND * 600;
        Self {
            url,
            written,
            ca_file,
            client_cert_file,
            client_key_file,
            connection_name: r.name("amqp.connection_name"),
            tenant_binding: r
                .parsed("amqp.tenant_binding", "none, user_id or routing_key")
                .unwrap_or(TenantBinding::None),
            declare_topology: r.truth("amqp.declare_topology"),
            prefetch: r.whole("amqp.prefetch", 1..=2_000),
            max_message_bytes: r.whole("amqp.max_message_bytes", 1_000..=134_217_728),
            publish_channels: r.whole("amqp.publish_channels", 1..=256),
            delivery_limit: r.whole("amqp.delivery_limit", 1..=1_000_000),
            connect_timeout: r.time("amqp.connect_timeout", longest.clone()),
            rpc_timeout: r.time("amqp.rpc_timeout", longest.clone()),
            publish_timeout: r.time("amqp.publish_timeout", longest.clone()),
            confirm_timeout: r.time("amqp.confirm_timeout", longest.clone()),
            close_timeout: r.time("amqp.close_timeout", longest),
            reconnect_backoff_min: r.time("amqp.reconnect_backoff_min", SOON..=SECOND * 60),
            reconnect_backoff_max: r.time("amqp.reconnect_backoff_max", SOON..=SECOND * 600),
            cases_exchange: r.name("amqp.cases_exchange"),
            cases_queue: r.name("amqp.cases_queue"),
            cases_binding_key: r.name("amqp.cases_binding_key"),
            dead_letter_exchange: r.name("amqp.dead_letter_exchange"),
            dead_letter_queue: r.name("amqp.dead_letter_queue"),
            unrouted_exchange: r.name("amqp.unrouted_exchange"),
            unrouted_queue: r.name("amqp.unrouted_queue"),
            events_exchange: r.name("amqp.events_exchange"),
        }
    }

    /// Returns the URL without its password.
    pub fn redacted_url(&self) -> String {
        redacted(&self.url)
    }
}

impl std::fmt::Debug for Amqp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Amqp({})", self.redacted_url())
    }
}

/// Reads the names of the files for TLS, and checks that they can be read. What they hold is checked for each connection.
fn read_certificates(r: &mut Reader<'_>, url: &str) -> [Option<PathBuf>; 3] {
    let files = CERTIFICATES.map(|key| Some(r.text(key)).filter(|file| !file.is_empty()).map(PathBuf::from));
    for (key, file) in CERTIFICATES.into_iter().zip(&files) {
        let Some(file) = file else { continue };
        if let Some(problem) = unusable(file, key == CERTIFICATES[2]) {
            r.mistake(format!("`{key}`: {}: {problem}", file.display()));
        } else if url.starts_with("amqp://") {
            r.mistake(format!("`{key}` is set, and `amqp.url` is not encrypted: write amqps:// in the address"));
        }
    }
    if files[1].is_some() != files[2].is_some() {
        r.mistake(format!("`{}` and `{}` belong together: set both", CERTIFICATES[1], CERTIFICATES[2]));
    }
    files
}
