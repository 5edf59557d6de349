//! `console`: serves the console and the API without a worker.

use std::path::PathBuf;
use std::pin::pin;

use testmo_courier::app::{AppContext, StoreFile, store_file};
use testmo_courier::http::admin;
use testmo_courier::telemetry;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::listen::listen;
use super::open::configuration;
use super::signals::Signals;

pub(super) const EXAMPLES: &str = "\
Every worker with admin.listen serves the console, too. This command serves it beside several workers that share a
PostgreSQL database: it takes no batches. Log in with a token of `testmo-courier tokens create`.

Examples:
  testmo-courier console
  testmo-courier --config /etc/testmo-courier.toml console";

pub(super) async fn execute(files: &[PathBuf]) -> Result<(), Failure> {
    let config = configuration(files)?;
    if !matches!(store_file(&config), StoreFile::Server) {
        return Err(Failure::usage(
            "the store is an SQLite file, which one process alone may hold",
            "set admin.listen for the worker: `testmo-courier run` then serves the console. This command is for PostgreSQL",
        ));
    }
    let Some(address) = config.admin.listen else {
        return Err(Failure::usage(
            "admin.listen has no address",
            "set it, such as COURIER_ADMIN__LISTEN=127.0.0.1:9465",
        ));
    };
    telemetry::start(&config.log);
    // What is wrong with the store or the master key is shown at once.
    AppContext::open(config.clone()).await?.close().await;
    let mut signals = Signals::listen()?;
    let listener = listen(address).await?;
    let stop = CancellationToken::new();
    let mut serving = pin!(admin::serve(listener, config, stop.clone()));
    loop {
        tokio::select! {
            () = &mut serving => return Ok(()),
            () = signals.next() => {
                if stop.is_cancelled() {
                    return Err(Failure::Interrupted);
                }
                stop.cancel();
            }
        }
    }
}
