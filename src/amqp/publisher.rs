//! Hands messages to the broker, and reports which of them it has certainly stored.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::job::{Claim, Job};
use super::login::Login;
use super::outgoing::Outgoing;
use super::pool::Pool;
use super::publish_error::PublishError;
use super::status::Status;
use crate::config::Amqp;
use crate::guard::{self, Count, Task};

/// Publishes through a pool of channels on a connection of its own, which is opened and kept open
/// in the background. Clones share the pool.
#[derive(Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    login: Login,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    publish_timeout: Duration,
    max_message_bytes: usize,
    panics: Count,
}

/// Publishes messages to a broker; simulations put another broker here.
#[async_trait]
pub trait Publish: Send + Sync {
    /// Publishes one message, as [`Publisher::publish`] does.
    ///
    /// # Errors
    /// When it is not certain that the broker has stored the message.
    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError>;
    /// Returns the state of the connection.
    fn status(&self) -> watch::Receiver<Status>;
    /// Returns the count of panics that were caught while publishing.
    fn panics(&self) -> Count {
        Count::default()
    }
}

#[async_trait]
impl Publish for Publisher {
    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        Self::publish(self, outgoing).await
    }

    fn status(&self) -> watch::Receiver<Status> {
        Self::status(self)
    }

    fn panics(&self) -> Count {
        self.panics.clone()
    }
}

impl Publisher {
    /// Starts the pool on `tasks`. The broker does not have to be available yet. When `stop` is cancelled, messages
    /// that a channel has taken are finished, others are refused.
    pub fn start(config: &Amqp, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        // Room for one waiting message per channel; further publishers wait with their own copy.
        let (jobs, queue) = mpsc::channel(config.publish_channels.max(1));
        let login = Login::of(config);
        let pool = Pool::new(config.clone(), login.clone(), queue, stop.clone());
        let (status, panics) = (pool.status(), pool.panics());
        tasks.spawn(async move {
            tokio::select! {
                biased;
                () = guard::ordered_end(Task::Publisher) => {}
                () = pool.run() => {}
            }
        });
        Self {
            jobs,
            login,
            status,
            stop,
            publish_timeout: config.publish_timeout,
            max_message_bytes: config.max_message_bytes,
            panics,
        }
    }

    /// Returns a handle that changes the password for the next connection.
    pub fn login(&self) -> Login {
        self.login.clone()
    }

    /// Returns the state of the connection.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Publishes one message. `Ok` means: stored by the broker, in at least one queue.
    ///
    /// # Errors
    /// After at most twice `publish_timeout` plus `confirm_timeout`; see [`PublishError`] for how certain each is. A
    /// caller that drops this future does not know whether the message was sent.
    pub async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        let message = outgoing.encode(self.max_message_bytes)?;
        let deadline = Instant::now() + self.publish_timeout;
        let claim = Claim::default();
        let (reply, mut answer) = oneshot::channel();
        let job = Job { message, claim: claim.clone(), reply };
        let queued = tokio::select! {
            sent = self.jobs.send(job) => sent.is_ok(),
            () = tokio::time::sleep_until(deadline) => false,
            () = self.stop.cancelled() => false,
        };
        if !queued {
            return Err(self.unavailable());
        }
        let in_time = tokio::select! {
            biased;
            answer = &mut answer => Some(answer),
            () = tokio::time::sleep_until(deadline) => None,
            () = self.stop.cancelled() => None,
        };
        let answer = match in_time {
            Some(answer) => answer,
            None if claim.take() => return Err(self.unavailable()),
            // A channel has taken the message, and answers within its own time limits.
            None => answer.await,
        };
        match answer {
            Ok(Err(PublishError::Unknown { cause })) => Err(self.unknown(cause)),
            Ok(result) => result,
            Err(_) if claim.take() => Err(self.unavailable()),
            Err(_) => Err(PublishError::Unknown {
                cause: "the channel was closed while the message was in flight".to_owned(),
            }),
        }
    }

    /// Adds the broker's reason to a missing answer, if the broker has announced that it is blocked.
    fn unknown(&self, cause: String) -> PublishError {
        let cause = match &*self.status.borrow() {
            Status::Blocked { reason } => format!("{cause}; the broker accepts no messages: {reason}"),
            Status::Connecting | Status::Up | Status::Down { .. } | Status::Closed => cause,
        };
        PublishError::Unknown { cause }
    }

    fn unavailable(&self) -> PublishError {
        let limit = self.publish_timeout;
        let cause = match &*self.status.borrow() {
            _ if self.stop.is_cancelled() => "shutting down".to_owned(),
            Status::Connecting => "not connected yet".to_owned(),
            Status::Down { cause, .. } => cause.clone(),
            Status::Blocked { reason } => format!("the broker accepts no messages: {reason}"),
            Status::Up => format!("all channels were busy for {limit:?}"),
            Status::Closed => "the connection was closed".to_owned(),
        };
        PublishError::Unavailable { cause }
    }
}
