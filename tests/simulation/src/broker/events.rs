//! Publishes the workers' events to the broker, and records the events that the broker stored.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use testmo_courier::amqp::{Outgoing, Publish, PublishError, Status};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Broker;
use crate::diary::lock;
use crate::fuse::Fuse;

/// An event as the broker has stored it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) body: Vec<u8>,
    /// When it was stored, since the start of the run.
    pub(crate) at: Duration,
}

/// A worker's publisher of events.
pub(crate) struct EventsOf {
    broker: Arc<Broker>,
    fuse: Fuse,
    /// Kept so that the status can still be read after the worker's connection has ended.
    status: Arc<watch::Sender<Status>>,
}

impl EventsOf {
    /// Creates the publisher, whose status follows the broker until `close`.
    pub(crate) fn new(broker: &Arc<Broker>, fuse: Fuse, links: &TaskTracker, close: CancellationToken) -> Self {
        let status = Arc::new(watch::Sender::new(Status::Connecting));
        let publisher = status.clone();
        let (at, gone) = (broker.clone(), fuse.clone());
        links.spawn(async move {
            loop {
                let mut changed = pin!(at.changed.notified());
                changed.as_mut().enable();
                let present = if at.is_up() { Status::Up } else { Status::Down { cause: "away".into(), remedy: None } };
                publisher.send_if_modified(|status| {
                    let is_news = *status != present;
                    *status = present;
                    is_news
                });
                tokio::select! {
                    biased;
                    () = close.cancelled() => return,
                    () = gone.blown() => return,
                    () = changed => {}
                }
            }
        });
        Self { broker: broker.clone(), fuse, status }
    }

    /// Stores an event or loses it, and confirms it truthfully or not, as the weather decides.
    async fn store(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        let weather = &self.broker.weather;
        if !self.broker.is_up() {
            return Err(PublishError::Unavailable { cause: "away".into() });
        }
        let fails = weather.chance(weather.rates().confirm);
        let kind = weather.pick(4);
        let takes = if weather.is_calm() { Duration::ZERO } else { weather.ms(0..20) };
        tokio::time::sleep(takes).await;
        if fails && kind == 0 {
            return Err(PublishError::Refused { exchange: outgoing.exchange });
        }
        let is_unbound = weather.unbound(&outgoing.routing_key);
        if is_unbound || (fails && kind == 3) {
            let (exchange, routing_key) = (outgoing.exchange, outgoing.routing_key);
            return Err(PublishError::Unroutable { exchange, routing_key, code: 312, text: "NO_ROUTE".into() });
        }
        if !(fails && kind == 1) {
            let heard = Heard {
                id: outgoing.message_id.unwrap_or_default(),
                kind: outgoing.kind.unwrap_or_default(),
                body: outgoing.body,
                at: self.broker.diary.elapsed(),
            };
            self.broker.diary.note(|| format!("event {} {}", heard.kind, heard.id));
            lock(&self.broker.state).heard.push(heard);
        }
        if fails { Err(PublishError::Unknown { cause: "no confirmation".into() }) } else { Ok(()) }
    }
}

#[async_trait]
impl Publish for EventsOf {
    async fn publish(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        self.fuse.cross().await;
        let end = self.fuse.hold(self.store(outgoing)).await;
        self.fuse.cross().await;
        end
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }
}
