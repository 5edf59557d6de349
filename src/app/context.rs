//! Opens what use cases work with: the store, the tenants' connections and the way to Testmo.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::store::{Store, StoreError, StoreHealth};
use crate::tenants::{KeyError, Tenants, open_keyring};
use crate::testmo::{AddressPolicy, Client, NoClient};

/// What use cases work with that need the tenants' API keys.
#[derive(Debug)]
pub struct AppContext {
    /// The configuration in force.
    pub config: Config,
    /// The store.
    pub store: Store,
    /// The tenants' connections in the store.
    pub tenants: Tenants,
}

/// Why the store or the API keys in it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl AppContext {
    /// Opens the store and reads the master key, which has to be the one that the store's API keys are encrypted with.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let store = open_store(&config).await?;
        let keyring = open_keyring::<OpenError>(&store, &config.keys.master_key_file).await?;
        let tenants = Tenants::new(Arc::new(store.clone()), keyring, AddressPolicy::new(&config.testmo));
        Ok(Self { config, store, tenants })
    }

    /// Closes the store.
    pub async fn close(&self) {
        self.store.close().await;
    }

    /// Makes a client for the tenants' Testmo.
    ///
    /// # Errors
    /// When the system offers no TLS certificates.
    pub fn client(&self) -> Result<Client, NoClient> {
        Client::new(&self.config.testmo, Clock::system())
    }
}

/// Opens the store alone, for use cases that need no API key.
///
/// # Errors
/// When it is not there or cannot be opened.
pub async fn open_store(config: &Config) -> Result<Store, StoreError> {
    Store::open(&config.store, false, Clock::system()).await
}

/// Returns the time on the store's clock, in milliseconds since 1970.
pub fn store_now(store: &Store) -> i64 {
    store.now()
}
