//! Sets up the worker for a measurement as `init` and `tenants set` do, with its own defaults except for a row's
//! settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use secrecy::SecretString;
use testmo_courier::batch::TenantId;
use testmo_courier::clock::Clock;
use testmo_courier::config::{Config, Sources, load};
use testmo_courier::store::connections::{ConnectionRow, Verification};
use testmo_courier::store::{ConnectionStore, Store, StoreHealth};
use testmo_courier::tenants::{Entered, Keyring, Tenants};
use testmo_courier::testmo::{Access, AddressPolicy};

/// The API key; the target accepts any key.
pub(crate) const API_KEY: &str = "bench-key";
/// The project and the folder in which cases are created.
pub(crate) const PROJECT: u64 = 1;
pub(crate) const FOLDER: u64 = 1;

/// The folder and configuration of a worker.
pub(crate) struct Setup {
    /// The worker's own folder.
    pub(crate) dir: PathBuf,
    pub(crate) config: Config,
}

/// The settings that differ from the defaults.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) amqp_url: String,
    /// `None` for an SQLite file in the worker's folder.
    pub(crate) store_url: Option<String>,
    pub(crate) prefetch: usize,
    /// Concurrent requests to one account.
    pub(crate) in_flight: usize,
    /// Cases in a request; `None` for the default.
    pub(crate) max_cases: Option<usize>,
    /// The tenants, each with its origin.
    pub(crate) tenants: Vec<(String, String)>,
}

impl Setup {
    /// Writes the configuration and enters the tenants, whose connections count as verified.
    pub(crate) async fn make(dir: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let setup = Self::configure(dir, settings)?;
        let config = &setup.config;
        let store = Store::open(&config.store, true, Clock::system()).await?;
        let keyring = Keyring::create(&config.keys.master_key_file)?;
        let tenants = Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo));
        for (tenant, origin) in &settings.tenants {
            store.set_connection(&verified(&tenants, tenant, origin, store.now())?).await?;
        }
        store.close().await;
        Ok(setup)
    }

    /// Sets up another worker on the same store, in its own folder.
    pub(crate) fn join(&self, dir: &Path, settings: &Settings) -> anyhow::Result<Self> {
        let setup = Self::configure(dir, settings)?;
        let (from, to) = (&self.config.keys.master_key_file, &setup.config.keys.master_key_file);
        std::fs::copy(from, to).with_context(|| from.display().to_string())?;
        Ok(setup)
    }

    fn configure(dir: &Path, settings: &Settings) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let file = dir.join(FILE);
        std::fs::write(&file, text(dir, settings))?;
        let config = load(&Sources { files: vec![file], ..Sources::default() })?;
        Ok(Self { dir: dir.to_owned(), config })
    }

    /// Returns the arguments with which the worker runs.
    pub(crate) fn arguments(&self) -> Vec<String> {
        ["--config".to_owned(), self.file().display().to_string(), "run".to_owned()].into()
    }

    /// Returns the path of the worker's configuration.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join(FILE)
    }
}

const FILE: &str = "courier.toml";
const STORE: &str = "courier.db";
const KEY: &str = "courier.key";

fn text(dir: &Path, settings: &Settings) -> String {
    let path = |name: &str| dir.join(name).display().to_string();
    let store = settings.store_url.clone().unwrap_or_else(|| format!("sqlite:{}", path(STORE)));
    let origins: Vec<&str> = settings.tenants.iter().map(|(_, origin)| origin.as_str()).collect();
    let mut text = format!(
        "[amqp]\nurl = {:?}\nprefetch = {}\n[store]\nurl = {store:?}\n[keys]\nmaster_key_file = {:?}\n\
         [testmo]\nallowed_insecure_origins = {origins:?}\n[observe]\nlisten = \"127.0.0.1:0\"\n\
         [requests]\naccount_concurrency_per_worker = {}\n",
        settings.amqp_url,
        settings.prefetch,
        path(KEY),
        settings.in_flight
    );
    if let Some(cases) = settings.max_cases {
        text.push_str(&format!("max_cases = {cases}\n"));
    }
    text
}

/// Returns a connection as it is stored after a verification that passed.
fn verified(tenants: &Tenants, tenant: &str, origin: &str, now: i64) -> anyhow::Result<ConnectionRow> {
    let access = Access { origin: tenants.policy().check(origin)?, key: SecretString::from(API_KEY) };
    let row = tenants.enter(Entered {
        tenant: TenantId::new(tenant)?,
        access,
        expires_on: None,
        project: PROJECT,
        folder: FOLDER,
        mapping: Default::default(),
        resolved: Some(Default::default()),
        fields: Default::default(),
    })?;
    let finding = Verification::Works {
        user: "Push Bot".into(),
        project: "Benchmark".into(),
        folder: "Generated".into(),
        not_there: vec![],
    };
    Ok(row.judged(finding, now))
}
