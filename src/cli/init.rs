//! `init`: how does a fresh machine get its master key and its store?

use std::path::{Path, PathBuf};

use testmo_courier::clock::Clock;
use testmo_courier::config::Config;
use testmo_courier::store::{Store, sqlite_file};
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
    let (store_file, key_file) = (sqlite_file(&config.store.url), config.keys.master_key_file.clone());
    let had = (store_file.exists(), key_file.exists());
    require_folder(&store_file, "store.url")?;
    require_folder(&key_file, "keys.master_key_file")?;
    // The store first: it tells whether a missing key has to be put back.
    let store = Store::open(&config.store, true, Clock::system()).await?;
    let keyring = if had.1 { Keyring::load(&key_file)? } else { fresh_key(&config, &store).await? };
    check_master_key(&config, &store, &keyring).await?;
    store.keep_fact(MASTER_KEY_FACT, &keyring.check_word()).await?;
    store.close().await;
    let word = |had| if had { "was there already" } else { "made" };
    out.text(&facts(&[
        ("store", format!("{} ({})", store_file.display(), word(had.0))),
        ("master key", format!("{} ({})", key_file.display(), word(had.1))),
    ]))?;
    if !had.1 {
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
        0 => "put it back; if it is lost, remove the store's file, in which no connection is entered, and begin anew",
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
