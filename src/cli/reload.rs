//! Reads the configuration again while a worker runs, and reports what the worker takes over.

use std::path::PathBuf;

use testmo_courier::config::{self, Config, Sources};
use testmo_courier::telemetry;
use tokio::sync::watch;

use super::settings::differences;

/// Reads the configuration again, and hands the worker what it can take over. A configuration with a mistake changes nothing.
pub(super) fn reload(files: &[PathBuf], configs: &watch::Sender<Config>) {
    let read = match config::load(&Sources::of_process(files.to_vec())) {
        Ok(read) => read,
        Err(error) => {
            let error = error.0.join("; ");
            tracing::error!(error, "the configuration could not be read again; the former one stays in force");
            return;
        }
    };
    let running = configs.borrow().clone();
    let next = running.taking_over(&read);
    let (taken_over, needs_restart) = (differences(&running, &next), differences(&next, &read));
    tracing::info!(
        taken_over = taken_over.join(", "),
        needs_restart = needs_restart.join(", "),
        "configuration read again: taken over what is named, for the rest restart the worker"
    );
    if running.log.level != next.log.level && !telemetry::set_level(&next.log) {
        tracing::error!("the level of the log could not be changed; restart the worker");
    }
    configs.send_replace(next);
}
