//! Starts private PostgreSQL servers: one for all tests, and one for each test that harms its server.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::script::{Script, word};

/// Has a database refuse each record whose `batch_id` is `bad`, as it refuses a value that it cannot hold.
pub(crate) const REFUSE_BAD: &str = "\
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.batch_id = 'bad' THEN RAISE EXCEPTION USING ERRCODE = '22P05', MESSAGE = 'unsupported character'; END IF; \
    RETURN NEW; END $$; \
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON batches FOR EACH ROW EXECUTE FUNCTION refuse()";

/// A private server on loopback; `tests/env/postgres.sh` removes the server when this process ends, however it ends.
pub(crate) struct Postgres {
    url: String,
    script: Mutex<Script>,
}

impl Postgres {
    /// Returns the server of all tests that do not harm it; each has its own database.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    pub(crate) fn start() -> Self {
        let (script, ready) = Script::start("postgres.sh", &["--no-fsync"]);
        Self { url: word(&ready, "url").to_owned(), script: Mutex::new(script) }
    }

    /// Starts a server that encrypts connections, with the certificates in a folder.
    pub(crate) fn start_encrypted(certificates: &Path) -> Self {
        let certificates = certificates.to_str().expect("a path");
        let (script, ready) = Script::start("postgres.sh", &["--no-fsync", "--tls", certificates]);
        Self { url: word(&ready, "url").to_owned(), script: Mutex::new(script) }
    }

    /// Creates an empty database, and returns its URL.
    pub(crate) fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("db{}", NUMBER.fetch_add(1, Ordering::SeqCst));
        self.lock().expect_ok(&format!("database {name}"));
        self.url(&name)
    }

    /// Returns the URL of a database by name.
    pub(crate) fn url(&self, database: &str) -> String {
        let server = self.url.rsplit_once('/').map_or(self.url.as_str(), |(server, _)| server);
        format!("{server}/{database}")
    }

    /// Kills every process of the server by SIGKILL.
    pub(crate) fn kill(&self) {
        assert_eq!(self.lock().ask("kill"), "killed");
    }

    /// Starts the server again after [`kill`](Self::kill).
    pub(crate) fn boot(&self) {
        let answer = self.lock().ask("start");
        assert!(answer.starts_with("ready "), "{answer}");
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
