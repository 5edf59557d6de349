//! Makes the store and the master key of a new installation, and leaves alone what is there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use super::context::OpenError;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{Store, StoreError, StoreHealth, StoreLocation};
use crate::tenants::{KeyError, Keyring, MASTER_KEY_FACT, require_key_of};

/// How long an `init` waits for another one.
const LONGEST_TURN: Duration = Duration::from_secs(20);
/// How often it tries.
const TRY_AGAIN: Duration = Duration::from_millis(20);

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
    /// The master key is there, and its store is not.
    #[error("the master key {} is there already, but there is no store at {store}", key_file.display())]
    NoStore {
        /// Where the store should be.
        store: String,
        /// Where the master key is.
        key_file: PathBuf,
    },
    /// Another `init` has made the store with a master key of its own at the same time.
    #[error("another `init` was making this store at the same time, with another master key")]
    AnotherInit,
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

/// Makes what is missing, and leaves alone what is there. A master key without its store is a loss that a person has to
/// know of: only with `new_store` is an empty store made beside it.
///
/// # Errors
/// When a folder, the store of an existing master key, or the master key of an existing store is missing, or the store
/// cannot be used.
pub async fn initialise(config: &Config, new_store: bool) -> Result<Initialised, InitError> {
    let (place, key_file) = (StoreLocation::of(&config.store), config.keys.master_key_file.clone());
    if let StoreLocation::File(file) = &place {
        require_folder(file, "store.url")?;
    }
    require_folder(&key_file, "keys.master_key_file")?;
    let _turn = Turn::wait(&key_file).await;
    let had_key = key_file.exists();
    // The store comes first because it knows whether a missing key has to be put back.
    let store = match Store::open(&config.store, !had_key || new_store, Clock::system()).await {
        Err(StoreError::Missing(store)) => return Err(InitError::NoStore { store, key_file }),
        opened => opened?,
    };
    let keyring = if had_key { Keyring::load(&key_file)? } else { new_key(config, &store).await? };
    // If two machines begin at the same time, one of them finds here that its key is not the store's.
    store.keep_fact(MASTER_KEY_FACT, &keyring.check_word()).await?;
    let checked = require_key_of::<OpenError>(&store, &keyring, &key_file).await;
    if !had_key && matches!(checked, Err(OpenError::Key(KeyError::OtherMasterKey(_)))) {
        // Nothing is encrypted with it.
        std::fs::remove_file(&key_file).map_err(|source| KeyError::File { path: key_file, source })?;
        return Err(InitError::AnotherInit);
    }
    checked?;
    store.close().await;
    Ok(Initialised { store: place.to_string(), store_is_new: store.was_made(), key_file, key_is_new: !had_key })
}

/// Keeps other `init`s on this machine waiting until it is dropped: they find what this one has made.
struct Turn {
    _folder: Option<File>,
}

impl Turn {
    /// Waits for the turn at the folder of the master key, but not forever; without it the store and the key file still
    /// let only one of them make anything.
    async fn wait(key_file: &Path) -> Self {
        let folder = match key_file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        let Ok(folder) = File::open(folder) else { return Self { _folder: None } };
        let taken = async {
            while folder.try_lock().is_err() {
                tokio::time::sleep(TRY_AGAIN).await;
            }
        };
        drop(timeout(LONGEST_TURN, taken).await);
        Self { _folder: Some(folder) }
    }
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
