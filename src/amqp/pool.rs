//! Keeps a connection for publishing open, and sends one message at a time over each of its channels.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::call::{CallError, channel_error};
use super::job::Job;
use super::link::{Change, Link, connect_once};
use super::login::Login;
use super::outgoing::Encoded;
use super::publish_error::PublishError;
use super::reconnect::{End, Reconnect};
use super::status::{Status, StatusBoard};
use crate::config::Amqp;
use crate::guard::{Count, guarded};

/// The connection for publishing and the tasks that own its channels.
pub(super) struct Pool {
    config: Amqp,
    login: Login,
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    board: StatusBoard,
    stop: CancellationToken,
    panics: Count,
}

impl Pool {
    pub(super) fn new(config: Amqp, login: Login, jobs: mpsc::Receiver<Job>, stop: CancellationToken) -> Self {
        let target = Address::parse(&config.url).map_or_else(String::new, |a| a.target());
        let board = StatusBoard::new("publish".to_owned(), target);
        Self { config, login, jobs: Arc::new(Mutex::new(jobs)), board, stop, panics: Count::default() }
    }

    pub(super) fn panics(&self) -> Count {
        self.panics.clone()
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.board.watch()
    }

    /// Keeps a connection open until `stop` is cancelled.
    pub(super) async fn run(self) {
        let mut reconnect = Reconnect::new(&self.config, self.stop.clone());
        loop {
            let opened = Instant::now();
            let end = self.serve().await;
            if reconnect.after(end, opened, &self.board).await.is_break() {
                break;
            }
        }
        self.board.closed();
    }

    /// Serves one connection from opening to end.
    async fn serve(&self) -> End {
        let config = self.login.applied_to(&self.config);
        let opening = tokio::select! {
            () = self.stop.cancelled() => return End::Stopped,
            opening = connect_once(&config, "publish") => opening,
        };
        let link = match opening {
            Ok(link) => Arc::new(link),
            Err(error) => return End::NotOpened(error),
        };
        self.board.up();
        let end = CancellationToken::new();
        let mut channels = JoinSet::new();
        for _ in 0..self.config.publish_channels.max(1) {
            let slot = Slot {
                link: Arc::clone(&link),
                jobs: Arc::clone(&self.jobs),
                status: self.board.watch(),
                end: end.clone(),
                publish_timeout: self.config.publish_timeout,
                confirm_timeout: self.config.confirm_timeout,
                panics: self.panics.clone(),
            };
            channels.spawn(slot.run());
        }
        let outcome = self.watch(&link, &mut channels).await;
        end.cancel();
        if matches!(outcome, End::Stopped) {
            while channels.join_next().await.is_some() {}
        }
        link.close().await;
        // Closing has answered every call under way; nothing is left to wait for.
        channels.shutdown().await;
        outcome
    }

    async fn watch(&self, link: &Link, channels: &mut JoinSet<Result<(), CallError>>) -> End {
        let mut changes = link.changes();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return End::Stopped,
                change = changes.next() => match change {
                    Change::Blocked { reason } => self.board.blocked(reason),
                    Change::Unblocked => self.board.up(),
                    Change::Lost(error) => return End::Failed(error),
                },
                Some(ended) = channels.join_next() => match ended {
                    Ok(Err(error)) => return End::Failed(error),
                    Ok(Ok(())) => return End::Stopped,
                    Err(panic) => return End::Failed(CallError::Lost { cause: panic.to_string() }),
                },
            }
        }
    }
}

/// One channel of the pool, replaced on the same connection when a message has made it unusable.
struct Slot {
    link: Arc<Link>,
    jobs: Arc<Mutex<mpsc::Receiver<Job>>>,
    status: watch::Receiver<Status>,
    end: CancellationToken,
    publish_timeout: Duration,
    confirm_timeout: Duration,
    panics: Count,
}

impl Slot {
    /// Publishes messages until `end` is cancelled; an error means that the connection can no longer be used.
    async fn run(mut self) -> Result<(), CallError> {
        let end = self.end.clone();
        loop {
            let channel = tokio::select! {
                () = end.cancelled() => return Ok(()),
                channel = self.open() => channel?,
            };
            let mut usable = true;
            while usable {
                let job = tokio::select! {
                    biased;
                    () = end.cancelled() => return Ok(()),
                    job = self.next_job() => job,
                };
                let Some(Job { message, mut reply, .. }) = job else {
                    return Ok(());
                };
                let name = message.name();
                let unwanted = async {
                    end.cancelled().await;
                    reply.closed().await;
                };
                let sent = tokio::select! {
                    biased;
                    sent = guarded(self.send(&channel, message)) => sent,
                    // Closing the channel does not take the message back, so it may be stored nevertheless.
                    () = unwanted => return Ok(()),
                };
                let result = sent.unwrap_or_else(|panic| {
                    self.panics.add();
                    tracing::error!(message = name, %panic, "a defect stopped the publishing of a message");
                    Err(PublishError::Unknown { cause: format!("a defect: {panic}") })
                });
                usable = keeps_channel(&result);
                // The publisher may no longer wait; the message is stored nevertheless.
                drop(reply.send(result));
            }
        }
    }

    /// Opens a channel once the broker is not blocked, because a blocked broker does not answer either.
    async fn open(&mut self) -> Result<Channel, CallError> {
        until(&mut self.status, |status| !status.is_blocked()).await;
        self.link.confirm_channel().await
    }

    /// Returns the next message that its publisher has not taken back. None is taken while the broker is blocked, so
    /// that the publisher knows for certain that the message was not sent.
    async fn next_job(&mut self) -> Option<Job> {
        loop {
            until(&mut self.status, |status| !status.is_blocked()).await;
            let mut jobs = self.jobs.lock().await;
            let job = tokio::select! {
                biased;
                () = until(&mut self.status, Status::is_blocked) => continue,
                job = jobs.recv() => job?,
            };
            if job.claim.take() {
                return Some(job);
            }
        }
    }

    /// Sends one message and waits for its confirmation, with no other message under way.
    async fn send(&self, channel: &Channel, message: Encoded) -> Result<(), PublishError> {
        let exchange = message.exchange.to_string();
        let routing_key = message.routing_key.to_string();
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let sending =
            channel.basic_publish(message.exchange, message.routing_key, options, &message.body, message.properties);
        let confirm = match tokio::time::timeout(self.publish_timeout, sending).await {
            Ok(Ok(confirm)) => confirm,
            Ok(Err(error)) => return Err(failed(exchange, &error)),
            Err(_) => return Err(silence("the message was not written", self.publish_timeout)),
        };
        match tokio::time::timeout(self.confirm_timeout, confirm).await {
            Ok(Ok(Confirmation::Ack(None))) => Ok(()),
            Ok(Ok(Confirmation::Ack(Some(returned)))) => Err(PublishError::Unroutable {
                exchange,
                routing_key,
                code: returned.reply_code,
                text: returned.reply_text.to_string(),
            }),
            Ok(Ok(Confirmation::Nack(_))) => Err(PublishError::Refused { exchange }),
            Ok(Ok(Confirmation::NotRequested)) => {
                Err(PublishError::Unknown { cause: "the channel does not send publisher confirms".to_owned() })
            }
            Ok(Err(error)) => Err(failed(exchange, &error)),
            Err(_) => Err(silence("the message was not confirmed", self.confirm_timeout)),
        }
    }
}

/// Classifies a failed publish: with one message under way, a channel error can only be about that message.
fn failed(exchange: String, error: &lapin::Error) -> PublishError {
    match channel_error(error) {
        Some((code, text)) => PublishError::Forbidden { exchange, code, text },
        None => PublishError::Unknown { cause: error.to_string() },
    }
}

fn silence(what: &str, limit: Duration) -> PublishError {
    PublishError::Unknown { cause: format!("{what} within {limit:?}") }
}

/// Returns whether the channel can be used again: a late answer to a message of unknown outcome could be taken for the
/// answer to the next one.
fn keeps_channel(result: &Result<(), PublishError>) -> bool {
    matches!(result, Ok(()) | Err(PublishError::Refused { .. } | PublishError::Unroutable { .. }))
}

/// Waits for a status; waits forever if the connection is given up meanwhile.
async fn until(status: &mut watch::Receiver<Status>, wanted: impl FnMut(&Status) -> bool) {
    if status.wait_for(wanted).await.is_err() {
        std::future::pending().await
    }
}
