//! Starts private RabbitMQ nodes: one for all tests, and one for each test that harms its node.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use super::script::{Script, word};

/// A quorum queue loses confirmed messages when its only node is killed within a second after the first declaration.
/// RabbitMQ behaves like this, and it is the only reason to wait.
pub(crate) const QUEUE_SETTLES: Duration = Duration::from_secs(2);

/// A private node on loopback; `tests/env/broker.sh` removes the node when this process ends, however it ends.
#[derive(Clone)]
pub(crate) struct Broker {
    port: u16,
    script: Arc<Mutex<Script>>,
}

impl Broker {
    /// Returns the node of all tests that do not harm it; each has its own virtual host.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    pub(crate) fn start() -> Self {
        let (script, ready) = Script::start("broker.sh", &[]);
        let port = word(&ready, "port").parse().expect("a port");
        Self { port, script: Arc::new(Mutex::new(script)) }
    }

    /// Starts a node that also takes encrypted connections, with the certificates in a folder; returns the port for them, too.
    pub(crate) fn start_encrypted(certificates: &Path) -> (Self, u16) {
        let (script, ready) = Script::start("broker.sh", &["--tls", certificates.to_str().expect("a path")]);
        let port = |name| word(&ready, name).parse().expect("a port");
        (Self { port: port("port"), script: Arc::new(Mutex::new(script)) }, port("tls_port"))
    }

    /// Starts a node that also has the management plugin; returns the ports for encrypted connections and of the plugin.
    pub(crate) fn start_managed(certificates: &Path) -> (Self, u16, u16) {
        let arguments = ["--management", "--tls", certificates.to_str().expect("a path")];
        let (script, ready) = Script::start("broker.sh", &arguments);
        let port = |name| word(&ready, name).parse().expect("a port");
        let management = word(&ready, "management").rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let broker = Self { port: port("port"), script: Arc::new(Mutex::new(script)) };
        (broker, port("tls_port"), management.expect("a port"))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, vhost: &str) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/{vhost}", self.port)
    }

    /// Kills the node by SIGKILL.
    pub(crate) fn kill(&self) {
        assert_eq!(self.lock().ask("kill"), "killed");
    }

    /// Starts the node again after [`kill`](Self::kill), and waits until it speaks AMQP.
    pub(crate) fn boot(&self) {
        let answer = self.lock().ask("start");
        assert!(answer.starts_with("ready "), "{answer}");
    }

    pub(crate) fn add_vhost(&self, name: &str) {
        self.lock().expect_ok(&format!("vhost {name}"));
    }

    /// Runs rabbitmqctl; the arguments must not contain blanks.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        self.lock().expect_ok(&format!("ctl {}", arguments.join(" ")))
    }

    /// Returns how many messages a queue holds, unacknowledged ones included.
    pub(crate) fn depth(&self, vhost: &str, queue: &str) -> usize {
        let count = self.lock().expect_ok(&format!("depth {vhost} {queue}"));
        count.trim().parse().unwrap_or_else(|_| panic!("a number, not {count}"))
    }

    /// Returns the quorum queues of a virtual host that hold messages, unacknowledged ones included.
    pub(crate) fn filled_queues(&self, vhost: &str) -> Vec<String> {
        let names = self.lock().expect_ok(&format!("filled {vhost}"));
        names.split_whitespace().map(str::to_owned).collect()
    }

    /// Returns how many consumers there are.
    pub(crate) fn consumers(&self, vhost: &str) -> usize {
        self.ctl(&["-q", "list_consumers", "-p", vhost, "queue_name", "--no-table-headers"]).lines().count()
    }

    /// Returns how many messages each consumer may have unacknowledged.
    pub(crate) fn prefetch_counts(&self, vhost: &str) -> Vec<u16> {
        let counts = self.ctl(&["-q", "list_consumers", "-p", vhost, "prefetch_count", "--no-table-headers"]);
        counts.lines().map(|count| count.trim().parse().unwrap_or_else(|_| panic!("a number, not {count}"))).collect()
    }

    /// Publishes a message whose id is not UTF-8, which no Rust client can do.
    pub(crate) fn publish_unreadable(&self, vhost: &str, exchange: &str, routing_key: &str) {
        let expression = format!(
            "X=rabbit_misc:r(<<\"{vhost}\">>,exchange,<<\"{exchange}\">>),\
             rabbit_basic:publish(X,<<\"{routing_key}\">>,\
             {{'P_basic',undefined,undefined,[],2,undefined,undefined,undefined,undefined,\
             <<255,254>>,undefined,undefined,undefined,undefined,undefined}},<<\"body\">>),published."
        );
        self.ctl(&["-q", "eval", &expression]);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
