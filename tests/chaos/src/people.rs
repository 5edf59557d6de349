//! Does what people do: enters connections, and fixes those whose key was refused.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use secrecy::SecretString;
use testmo_courier::batch::TenantId;
use testmo_courier::batch::render::mapping::Mapping;
use testmo_courier::batch::undo::Retired;
use testmo_courier::clock::Clock;
use testmo_courier::config::Config;
use testmo_courier::store::connections::Verification;
use testmo_courier::store::{ConnectionStore, Store};
use testmo_courier::tenants::{Entered, Keyring, Tenants, verify};
use testmo_courier::testmo::{Access, AddressPolicy, Client};
use tokio::time::{Instant, sleep};

use crate::generations::DEPRECATED;

/// How long a connection may stay unverified for a person after its key works again: as long as a rate-limit pause of
/// its account.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct People {
    tenants: Tenants,
    client: Client,
    store: Store,
}

impl People {
    pub(crate) fn new(store: Store, config: &Config) -> anyhow::Result<Self> {
        let file = &config.keys.master_key_file;
        let keyring = if file.exists() { Keyring::load(file)? } else { Keyring::create(file)? };
        let tenants = Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo));
        Ok(Self { tenants, client: Client::new(&config.testmo, Clock::system())?, store })
    }

    pub(crate) fn key_of(tenant: &str) -> String {
        format!("key-of-{tenant}")
    }

    /// Enters a connection, and verifies it.
    pub(crate) async fn enter(&self, tenant: &str, origin: &str) -> anyhow::Result<()> {
        let access =
            Access { origin: self.tenants.policy().check(origin)?, key: SecretString::from(Self::key_of(tenant)) };
        let retired = Some(Retired { state_id: Some(DEPRECATED), folder_id: None });
        let entered = Entered {
            tenant: TenantId::new(tenant)?,
            access,
            expires_on: None,
            project: 1,
            folder: 1,
            mapping: Default::default(),
            resolved: Some(Mapping { retired, ..Mapping::default() }),
            fields: Default::default(),
        };
        let row = self.tenants.enter(entered)?;
        ensure!(self.store.set_connection(&row).await?.is_done(), "{tenant} was connected before");
        self.verify(tenant).await
    }

    /// Verifies a connection again and again until it works.
    pub(crate) async fn mend(&self, tenant: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.verify(tenant).await {
            ensure!(Instant::now() < deadline, "the connection of {tenant} cannot be verified: {error:#}");
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn verify(&self, tenant: &str) -> anyhow::Result<()> {
        let row = self.store.connection(&TenantId::new(tenant)?).await?.context("a connection")?;
        let access = self.tenants.access(&row).map_err(|(reason, detail)| anyhow::anyhow!("{reason}: {detail:?}"))?;
        let finding = verify(&self.client, &access, row.project, row.folder).await;
        ensure!(matches!(finding, Verification::Works { .. }), "{finding:?}");
        let written = self.store.record_verification(&row.tenant, &row.version, row.epoch, &finding).await?;
        ensure!(written.is_done(), "the connection was changed meanwhile");
        Ok(())
    }
}
