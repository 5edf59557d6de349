//! What does a command work with? The configuration, the store and the tenants' keys, opened and checked once.

use std::path::PathBuf;
use std::sync::Arc;

use testmo_courier::batch::TenantId;
use testmo_courier::clock::Clock;
use testmo_courier::config::{self, Config, Sources};
use testmo_courier::store::connections::ConnectionRow;
use testmo_courier::store::{ConnectionStore, Store};
use testmo_courier::tenants::{KeyError, Keyring, Tenants};
use testmo_courier::testmo::{AddressPolicy, Client};
use testmo_courier::worker::MASTER_KEY_FACT;

use super::failure::Failure;

/// The configuration in force.
pub(crate) fn configuration(files: &[PathBuf]) -> Result<Config, Failure> {
    Ok(config::load(&Sources::of_process(files.to_vec()))?)
}

/// The store alone, for commands that need no key.
pub(crate) async fn store(config: &Config) -> Result<Store, Failure> {
    Ok(Store::open(&config.store, false, Clock::system()).await?)
}

/// The store, and the tenants' connections in it.
pub(crate) struct Desk {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) tenants: Tenants,
}

impl Desk {
    /// Opens everything; the master key has to be the one that the store's API keys are encrypted with.
    pub(crate) async fn open(files: &[PathBuf]) -> Result<Self, Failure> {
        let config = configuration(files)?;
        let store = store(&config).await?;
        let keyring = Keyring::load(&config.keys.master_key_file)?;
        check_master_key(&config, &store, &keyring).await?;
        let tenants = Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo));
        Ok(Self { config, store, tenants })
    }

    /// The way to the tenants' Testmo.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(&self.config.testmo, Clock::system())?)
    }

    /// A tenant's connection, which has to be there.
    pub(crate) async fn connection(&self, tenant: &TenantId) -> Result<ConnectionRow, Failure> {
        known(&self.store, tenant).await
    }
}

/// A tenant's connection, which has to be there.
pub(crate) async fn known(store: &Store, tenant: &TenantId) -> Result<ConnectionRow, Failure> {
    store.connection(tenant).await?.ok_or_else(|| no_connection(tenant))
}

/// A tenant that has to be there, and is not.
pub(crate) fn no_connection(tenant: &TenantId) -> Failure {
    Failure::finding(
        format!("there is no connection of tenant {tenant}"),
        "`testmo-courier tenants list` shows those there are; `tenants set` enters one",
    )
}

/// Whether a master key is the one that a store's API keys are encrypted with; a store that knows of none takes any.
pub(crate) async fn check_master_key(config: &Config, store: &Store, keyring: &Keyring) -> Result<(), Failure> {
    match store.fact(MASTER_KEY_FACT).await? {
        Some(word) if word != keyring.check_word() => {
            Err(KeyError::OtherMasterKey(config.keys.master_key_file.clone()).into())
        }
        Some(_) | None => Ok(()),
    }
}
