//! Makes the store and the master key of a new installation, and leaves alone what is there.

use std::path::{Path, PathBuf};

use super::context::{OpenError, check_master_key};
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{Store, StoreError, StoreHealth, StoreLocation};
use crate::tenants::{KeyError, Keyring, MASTER_KEY_FACT};

/// What there is now.
#[derive(Debug)]
pub struct Initialised {
    /// Where the store is.
    pub store: String,
    /// Whether it was made now.
    pub store_is_new: bool,
    /// Where the master key is.
    pub key_file: PathBuf,
    /// Whether it was made now.
    pub key_is_new: bool,
}

/// Why the store or the master key cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A folder is missing.
    #[error("the folder {} does not exist", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// The setting that names it.
        setting: &'static str,
    },
    /// The master key of a store that is there already is missing.
    #[error("the store exists, but its master key file {} does not", key_file.display())]
    NoMasterKey {
        /// Where it should be.
        key_file: PathBuf,
        /// Whether the store holds API keys that are encrypted with it.
        is_needed: bool,
    },
    /// The store or the master key cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<StoreError> for InitError {
    fn from(error: StoreError) -> Self {
        Self::Open(error.into())
    }
}

impl From<KeyError> for InitError {
    fn from(error: KeyError) -> Self {
        Self::Open(error.into())
    }
}

/// Makes what is missing, and leaves alone what is there.
///
/// # Errors
/// When a folder or the master key of an existing store is missing, or the store cannot be used.
pub async fn initialise(config: &Config) -> Result<Initialised, InitError> {
    let (place, key_file) = (StoreLocation::of(&config.store), config.keys.master_key_file.clone());
    if let StoreLocation::File(file) = &place {
        require_folder(file, "store.url")?;
    }
    let had_key = key_file.exists();
    require_folder(&key_file, "keys.master_key_file")?;
    // The store comes first because it knows whether a missing key has to be put back.
    let store = Store::open(&config.store, true, Clock::system()).await?;
    let keyring = if had_key { Keyring::load(&key_file)? } else { new_key(config, &store).await? };
    // If two machines begin at the same time, one of them finds here that its key is not the store's.
    store.keep_fact(MASTER_KEY_FACT, &keyring.check_word()).await?;
    check_master_key(config, &store, &keyring).await?;
    store.close().await;
    Ok(Initialised { store: place.to_string(), store_is_new: store.was_made(), key_file, key_is_new: !had_key })
}

async fn new_key(config: &Config, store: &Store) -> Result<Keyring, InitError> {
    let key_file = &config.keys.master_key_file;
    let is_needed = !store.connections().await?.is_empty();
    if !is_needed && store.fact(MASTER_KEY_FACT).await?.is_none() {
        return Ok(Keyring::create(key_file)?);
    }
    Err(InitError::NoMasterKey { key_file: key_file.clone(), is_needed })
}

fn require_folder(file: &Path, setting: &'static str) -> Result<(), InitError> {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        None => Ok(()),
        Some(folder) => Err(InitError::NoFolder { folder: folder.to_owned(), setting }),
    }
}
