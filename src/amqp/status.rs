//! Publishes the state of a connection, and logs each change once.

use tokio::sync::watch;

/// What ends a block.
const UNBLOCK: &str = "free memory or disk space on the broker; publishing resumes automatically";

/// The state of one connection, for readiness and gauges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// No attempt has ended yet.
    Connecting,
    /// Connected and in use.
    Up,
    /// Connected, but the broker takes no messages: it is short of memory or disk.
    Blocked {
        /// The broker's reason.
        reason: String,
    },
    /// Not connected; another attempt follows.
    Down {
        /// What ended the connection or prevented it from being opened.
        cause: String,
        /// What a person can do about this cause, where that is known.
        remedy: Option<String>,
    },
    /// Closed on request.
    Closed,
}

impl Status {
    /// Returns whether messages can flow.
    pub fn is_up(&self) -> bool {
        *self == Self::Up
    }

    /// Returns why messages cannot flow and what to do about it, where that is known.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Connecting | Self::Up | Self::Closed => None,
            Self::Blocked { reason } => Some(format!("the broker accepts no messages ({reason}): {UNBLOCK}")),
            Self::Down { cause, remedy } => {
                let remedy = remedy.as_deref().unwrap_or("check that RabbitMQ runs, and host and port in amqp.url");
                Some(format!("no connection to RabbitMQ ({cause}): {remedy}"))
            }
        }
    }

    /// Returns whether the broker has asked publishers to wait.
    pub fn is_blocked(&self) -> bool {
        matches!(self, Self::Blocked { .. })
    }
}

/// The writing side: publishes each change and logs it once.
#[derive(Debug)]
pub(super) struct StatusBoard {
    connection: String,
    target: String,
    current: watch::Sender<Status>,
}

impl StatusBoard {
    pub(super) fn new(connection: String, target: String) -> Self {
        let current = watch::Sender::new(Status::Connecting);
        Self { connection, target, current }
    }

    pub(super) fn watch(&self) -> watch::Receiver<Status> {
        self.current.subscribe()
    }

    pub(super) fn up(&self) {
        if self.change(Status::Up) {
            tracing::info!(connection = %self.connection, broker = %self.target, "broker connected");
        }
    }

    pub(super) fn blocked(&self, reason: String) {
        if self.change(Status::Blocked { reason: reason.clone() }) {
            tracing::warn!(
                connection = %self.connection, broker = %self.target, reason,
                remedy = UNBLOCK,
                "broker accepts no messages",
            );
        }
    }

    pub(super) fn down(&self, cause: String, remedy: Option<&str>) {
        if self.change(Status::Down { cause: cause.clone(), remedy: remedy.map(str::to_owned) }) {
            tracing::warn!(
                connection = %self.connection, broker = %self.target, cause, remedy,
                "broker not connected",
            );
        }
    }

    pub(super) fn closed(&self) {
        if self.change(Status::Closed) {
            tracing::info!(connection = %self.connection, broker = %self.target, "broker connection closed");
        }
    }

    /// Changes the status and returns whether it is new; another failed attempt with the same cause is not.
    fn change(&self, next: Status) -> bool {
        self.current.send_if_modified(|current| {
            let news = *current != next;
            *current = next;
            news
        })
    }
}
