//! `run`: runs the worker until a signal stops it.

use std::path::PathBuf;
use std::pin::pin;

use testmo_courier::config::Sources;
use testmo_courier::{telemetry, worker};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::open::configuration;
use super::signals::Signals;

pub(super) const EXAMPLES: &str = "\
On SIGTERM or Ctrl-C the worker takes no more batches, lets its requests finish for at most worker.drain_timeout,
and ends within 5 seconds after that. A second signal ends the worker at once; no batch is lost.

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
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let mut worker = pin!(worker::run(config, stop.clone()));
    loop {
        tokio::select! {
            end = &mut worker => return end.map_err(Failure::from),
            () = signals.next() => {
                if stop.is_cancelled() {
                    return Err(Failure::Interrupted);
                }
                stop.cancel();
            }
        }
    }
}
