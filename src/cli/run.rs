//! `run`: runs the worker until a signal stops it.

use std::path::PathBuf;
use std::pin::pin;

use testmo_courier::app::connections::directory;
use testmo_courier::app::doctor;
use testmo_courier::config::{Config, Sources};
use testmo_courier::http::admin;
use testmo_courier::worker::Service;
use testmo_courier::{telemetry, worker};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::listen::listen;
use super::open::configuration;
use super::reload::reload;
use super::signals::{Hangups, Signals};

pub(super) const EXAMPLES: &str = "\
On SIGTERM or Ctrl-C the worker takes no more batches, lets its requests finish for at most worker.drain_timeout,
and ends within 5 seconds after that. A second signal ends the worker at once; no batch is lost.
On SIGHUP the worker reads the configuration's files again, and logs what it takes over and what needs a restart.

Examples:
  testmo-courier run
  testmo-courier --config /etc/testmo-courier.toml run";

pub(super) async fn execute(files: &[PathBuf]) -> Result<(), Failure> {
    let config = configuration(files)?;
    telemetry::start(&config.log);
    let ignored = Sources::of_process(Vec::new()).ignored();
    if !ignored.is_empty() {
        tracing::info!(
            variables = ignored.join(", "),
            "variables that are no settings are ignored: a setting is named COURIER_<SECTION>__<KEY>"
        );
    }
    // First of all: a signal to read the configuration again would end a process that does not listen to it yet.
    let (mut signals, mut hangups) = (Signals::listen()?, Hangups::listen()?);
    doctor::at_start(&config, files).await;
    let stop = CancellationToken::new();
    let services = api(&config).await?.into_iter().chain(tenant_files(&config)).collect();
    let (configs, followed) = watch::channel(config);
    let mut worker = pin!(worker::run(followed, services, stop.clone()));
    loop {
        tokio::select! {
            end = &mut worker => return end.map_err(Failure::from),
            () = signals.next() => {
                if stop.is_cancelled() {
                    return Err(Failure::Interrupted);
                }
                stop.cancel();
            }
            () = hangups.next() => reload(files, &configs),
        }
    }
}

/// Returns the service that serves the API and the console, if they have an address.
async fn api(config: &Config) -> Result<Option<Service>, Failure> {
    let Some(address) = config.admin.listen else { return Ok(None) };
    let listener = listen(address).await?;
    let config = config.clone();
    Ok(Some(Service::api(admin::FILES, move |stop| admin::serve(listener, config, stop))))
}

/// Returns the service that takes over the files of tenants, if connections are kept in files.
fn tenant_files(config: &Config) -> Option<Service> {
    config.tenants.directory.as_ref()?;
    let config = config.clone();
    Some(Service::tenant_files(directory::FILES, move |stop, gauges| {
        directory::follow(config, stop, move |counts| {
            gauges.show_tenant_files([counts.in_use, counts.broken, counts.removals_held]);
        })
    }))
}
