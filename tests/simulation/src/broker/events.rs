//! How do events reach the broker, and which did it get?

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
}

/// A worker's way to have events stored.
pub(crate) struct EventsOf {
    broker: Arc<Broker>,
    fuse: Fuse,
    /// Kept for as long as anybody may read it.
    status: Arc<watch::Sender<Status>>,
}

impl EventsOf {
    /// Follows the broker's state until `close`.
    pub(crate) fn new(broker: &Arc<Broker>, fuse: Fuse, links: &TaskTracker, close: CancellationToken) -> Self {
        let status = Arc::new(watch::Sender::new(Status::Connecting));
        let told = status.clone();
        let (at, gone) = (broker.clone(), fuse.clone());
        links.spawn(async move {
            loop {
                let mut changed = pin!(at.changed.notified());
                changed.as_mut().enable();
                let present = if at.is_up() { Status::Up } else { Status::Down { cause: "away".into() } };
                told.send_if_modified(|status| {
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

    /// Stores an event, or not, and tells the truth about it, or not.
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
        if fails && kind == 3 {
            let (exchange, routing_key) = (outgoing.exchange, outgoing.routing_key);
            return Err(PublishError::Unroutable { exchange, routing_key, code: 312, text: "NO_ROUTE".into() });
        }
        if !(fails && kind == 1) {
            let heard = Heard {
                id: outgoing.message_id.unwrap_or_default(),
                kind: outgoing.kind.unwrap_or_default(),
                body: outgoing.body,
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
