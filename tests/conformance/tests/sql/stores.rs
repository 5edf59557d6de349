//! Opens fresh stores whose clock stands: in an SQLite file, and in a database of a private PostgreSQL server.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, Connection};
use testmo_courier::clock::Clock;
use testmo_courier::config;
use testmo_courier::store::Store;
use tokio::sync::Mutex;

use super::plans::Plans;
use super::postgres::Postgres;
use super::values::START;

/// A store, with everything that opening it again takes.
pub(crate) struct SqlStore {
    pub(crate) store: Store,
    pub(crate) config: config::Store,
    pub(crate) clock: Clock,
    /// Sets the clock of a server.
    setter: Option<Mutex<AnyConnection>>,
    /// Checks the statements on a file before the file is removed.
    plans: Option<Plans>,
    _folder: Option<tempfile::TempDir>,
}

/// Returns a store in a file.
pub(crate) async fn sqlite() -> SqlStore {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("a b.db").display());
    let (config, plans) = (config_of(&url), Plans::of(url));
    let clock = Clock::standing_at(START);
    let store = Store::open(&config, true, clock.clone()).await.unwrap();
    SqlStore { store, config, clock, setter: None, plans: Some(plans), _folder: Some(folder) }
}

/// Returns a store on a server. The worker's own clock is far behind the server's, which must not matter.
pub(crate) async fn postgres() -> SqlStore {
    let url = Postgres::shared().database();
    let name = url.rsplit('/').next().unwrap();
    let function = "CREATE FUNCTION test.clock_timestamp() RETURNS timestamptz LANGUAGE sql \
                    AS 'SELECT to_timestamp(ms / 1000.0) FROM test.clock'";
    let mut setter = connect(&url).await;
    run(
        &mut setter,
        &format!(
            "CREATE SCHEMA test; CREATE TABLE test.clock AS SELECT {START}::bigint AS ms; {function}; \
             ALTER DATABASE {name} SET search_path = test, pg_catalog"
        ),
    )
    .await;
    let (config, clock) = (config_of(&url), Clock::standing_at(7));
    let store = Store::open(&config, true, clock.clone()).await.unwrap();
    SqlStore { store, config, clock, setter: Some(Mutex::new(setter)), plans: None, _folder: None }
}

impl SqlStore {
    /// Returns the statements that were executed on a file so far.
    pub(crate) fn statements(&self) -> BTreeSet<String> {
        self.plans.as_ref().map(Plans::statements).unwrap_or_default()
    }

    /// Sets the store's clock, in milliseconds since 1970.
    pub(crate) async fn set_time(&self, ms: i64) {
        match &self.setter {
            Some(setter) => run(&mut *setter.lock().await, &format!("UPDATE test.clock SET ms = {ms}")).await,
            None => self.clock.set(ms),
        }
    }
}

/// Connects to the database of a URL.
pub(crate) async fn connect(url: &str) -> AnyConnection {
    sqlx::any::install_default_drivers();
    AnyConnection::connect(url).await.unwrap()
}

/// Runs statements.
pub(crate) async fn run(conn: &mut AnyConnection, statements: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(conn).await.unwrap();
}

/// Returns the configuration of a store at a URL.
pub(crate) fn config_of(url: &str) -> config::Store {
    let environment = [("DATABASE_URL".to_owned(), url.to_owned())].into();
    config::load(&config::Sources { files: vec![], environment }).unwrap().store
}
