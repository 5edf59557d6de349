//! Sets up the log: lines for people on a terminal, JSON otherwise.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::batch::excerpt;
use crate::config::{Log, LogFormat};

/// The most characters of a panic's message that are kept, because the message may quote the input.
const LONGEST_MESSAGE: usize = 500;

/// Sets how much is written to the log.
type SetLevel = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// What changes the level of the log that was started.
static SET_LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// Sends log lines and panics to standard error from now on; a second call changes nothing.
pub fn start(config: &Log) {
    let terminal = std::io::stderr().is_terminal();
    let human = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter(config)).with_writer(std::io::stderr);
    let (started, set_level): (_, SetLevel) = if human {
        let lines = lines.with_ansi(terminal).with_target(false).with_filter_reloading();
        let handle = lines.reload_handle();
        (lines.try_init(), Box::new(move |filter| handle.reload(filter).is_ok()))
    } else {
        let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
        let lines = lines.with_filter_reloading();
        let handle = lines.reload_handle();
        (lines.try_init(), Box::new(move |filter| handle.reload(filter).is_ok()))
    };
    // Tests start many workers in one process; the first one decides.
    if started.is_ok() && SET_LEVEL.set(set_level).is_ok() {
        std::panic::set_hook(Box::new(|panic| {
            let (message, place) = (crate::guard::message_of(panic.payload()), panic.location());
            let (message, thread) = (excerpt(message, LONGEST_MESSAGE), std::thread::current());
            let place = place.map(ToString::to_string);
            tracing::error!(panic = message, place, thread = thread.name(), "panic, which is a defect in the worker");
        }));
    }
}

/// Changes how much is written to the log; returns whether that was possible, which it is once the log was started.
pub fn set_level(config: &Log) -> bool {
    SET_LEVEL.get().is_some_and(|set_level| set_level(filter(config)))
}

fn filter(config: &Log) -> EnvFilter {
    // The broker library would write message bodies into the log.
    let level = format!("{},{},{}", config.level, crate::amqp::LOG_DIRECTIVE, crate::store::LOG_DIRECTIVE);
    EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"))
}
