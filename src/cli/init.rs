//! `init`: how does a fresh machine get its master key and its store?

use std::path::{Path, PathBuf};

use testmo_courier::clock::Clock;
use testmo_courier::config::Config;
use testmo_courier::store::{Store, StoreHealth, StoreLocation};
use testmo_courier::tenants::Keyring;
use testmo_courier::worker::MASTER_KEY_FACT;

use super::desk::{check_master_key, configuration};
use super::failure::Failure;
use super::out::Out;
use super::table::facts;

const NEXT: &str = "
Next:
  testmo-courier topology declare
  testmo-courier tenants set TENANT --base-url https://NAME.testmo.net --project ID --folder ID
  testmo-courier run
";

/// Makes what is missing, and leaves alone what is there.
pub(super) async fn execute(files: &[PathBuf], out: &mut Out) -> Result<(), Failure> {
    let config = configuration(files)?;
    let (place, key_file) = (StoreLocation::of(&config.store), config.keys.master_key_file.clone());
    if let StoreLocation::File(file) = &place {
        require_folder(file, "store.url")?;
    }
    let had_key = key_file.exists();
    require_folder(&key_file, "keys.master_key_file")?;
    // The store first: it tells whether a missing key has to be put back.
    let store = Store::open(&config.store, true, Clock::system()).await?;
    let keyring = if had_key { Keyring::load(&key_file)? } else { fresh_key(&config, &store).await? };
    // Of two machines that begin at once, one is told here that its key is not the store's.
    store.keep_fact(MASTER_KEY_FACT, &keyring.check_word()).await?;
    check_master_key(&config, &store, &keyring).await?;
    store.close().await;
    let word = |had| if had { "was there already" } else { "made" };
    out.text(&facts(&[
        ("store", format!("{place} ({})", word(!store.was_made()))),
        ("master key", format!("{} ({})", key_file.display(), word(had_key))),
    ]))?;
    if !had_key {
        out.line("Keep a copy of the master key elsewhere: without it the API keys in the store cannot be read.")?;
    }
    out.text(NEXT)
}

async fn fresh_key(config: &Config, store: &Store) -> Result<Keyring, Failure> {
    let path = &config.keys.master_key_file;
    let entered = store.connections().await?.len();
    if entered == 0 && store.fact(MASTER_KEY_FACT).await?.is_none() {
        return Ok(Keyring::create(path)?);
    }
    let remedy = match entered {
        0 => "put it back; if it is lost, begin anew with an empty store: no connection is entered in this one",
        _ => "put it back from your copy; without it every API key has to be entered again into a new store",
    };
    Err(Failure::usage(format!("the store is there, but its master key is not at {}", path.display()), remedy))
}

fn require_folder(file: &Path, setting: &str) -> Result<(), Failure> {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        None => Ok(()),
        Some(folder) => Err(Failure::usage(
            format!("the folder {} does not exist", folder.display()),
            format!("make it, or check {setting}"),
        )),
    }
}
