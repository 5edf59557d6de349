//! Sets up the log: lines for people on a terminal, JSON otherwise.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::batch::excerpt;
use crate::config::{Log, LogFormat};

/// The most characters of a panic's message that are kept, because the message may quote the input.
const LONGEST_MESSAGE: usize = 500;

/// Sends log lines and panics to standard error from now on; a second call changes nothing.
pub fn start(config: &Log) {
    // The broker library would write message bodies into the log.
    let level = format!("{},{},{}", config.level, crate::amqp::LOG_DIRECTIVE, crate::store::LOG_DIRECTIVE);
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let human = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if human {
        lines.with_ansi(terminal).with_target(false).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    // Tests start many workers in one process; the first one decides.
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let (message, place) = (crate::guard::message_of(panic.payload()), panic.location());
            let (message, thread) = (excerpt(message, LONGEST_MESSAGE), std::thread::current());
            let place = place.map(ToString::to_string);
            tracing::error!(panic = message, place, thread = thread.name(), "panic, which is a defect in the worker");
        }));
    }
}
