//! Starts a private PgBouncer in front of a private PostgreSQL server.

use url::Url;

use super::script::{Script, word};

/// A pooler on loopback; `tests/env/pgbouncer.sh` removes it when this process ends, however it ends.
pub(crate) struct Pooler {
    url: Url,
    script: Script,
}

impl Pooler {
    /// Starts a pooler with the settings of its package, in front of the server at this URL.
    pub(crate) fn start(server: &str) -> Self {
        let mut url = Url::parse(server).expect("a URL");
        let (port, password) =
            (url.port().expect("a port").to_string(), url.password().expect("a password").to_owned());
        let (script, ready) = Script::start("pgbouncer.sh", &[&port, &password]);
        url.set_port(word(&ready, "port").parse().ok()).expect("a port");
        Self { url, script }
    }

    /// Returns the URL of the database that was given, through the pooler.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Changes a setting, written as in the pooler's configuration, and starts the pooler again.
    pub(crate) fn set(&mut self, line: &str) {
        let answer = self.script.ask(&format!("set {line}"));
        assert!(answer.starts_with("ready "), "{line}: {answer}");
        self.url.set_port(word(&answer, "port").parse().ok()).expect("a port");
    }
}
