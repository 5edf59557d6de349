//! Loads the configuration, and opens what a command works with.

use std::path::PathBuf;

use testmo_courier::app::{AppContext, Store, open_store};
use testmo_courier::config::{self, Config, Sources};

use super::failure::Failure;

/// Loads the configuration in force.
pub(crate) fn configuration(files: &[PathBuf]) -> Result<Config, Failure> {
    Ok(config::load(&Sources::of_process(files.to_vec()))?)
}

/// Opens the store alone, for commands that need no key.
pub(crate) async fn store(config: &Config) -> Result<Store, Failure> {
    Ok(open_store(config).await?)
}

/// Opens the store, and the tenants' connections in it.
pub(crate) async fn context(files: &[PathBuf]) -> Result<AppContext, Failure> {
    Ok(AppContext::open(configuration(files)?).await?)
}
