//! Listens to the signals that end a command, SIGTERM and SIGINT, and to the one that has a worker read its configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::failure::Failure;

/// The signals that end a command; while they are listened to, they no longer end the process directly.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// The signal to read the configuration again; while it is listened to, it no longer ends the process.
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self(listen(SignalKind::hangup())?))
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

impl Signals {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self, Failure> {
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| {
        Failure::unreachable(format!("signals cannot be received ({error})"), "check the process limits")
    })
}
