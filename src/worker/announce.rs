//! How do events reach the broker? From the outbox, again and again until the broker has confirmed each; at first from
//! memory, as whoever has stored an event has it at hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use super::crash::{self, Point};
use crate::amqp::{Outgoing, Publish, PublishError};
use crate::batch::event::CONTENT_TYPE;
use crate::store::StoreError;
use crate::store::outbox::Announcement;

/// How often the outbox is looked through for what a crash or an outage left.
const SWEEP: Duration = Duration::from_secs(5);
/// The most events on their way at once.
const AT_ONCE: usize = 500;
/// How long an event that the broker did not take waits: nobody may be listening.
const PAUSE: Duration = Duration::from_secs(30);
/// The most events that wait in memory to be announced; more wait in the store.
pub(super) const ROOM: usize = 4_000;
/// For how long an event is for the worker alone that has stored it. After a crash it waits for so long.
pub(super) const TURN: Duration = Duration::from_secs(5);

/// Announces what is stored until `stop`, and then once more: what this worker stores comes by `stored`.
pub(super) async fn announce(
    courier: Arc<Courier>,
    publisher: Arc<dyn Publish>,
    mut stored: mpsc::Receiver<Announcement>,
    stop: CancellationToken,
) {
    let mut announcer = Announcer { courier, publisher, marking: JoinSet::new() };
    let mut reachable = announcer.publisher.status();
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut taken = Vec::with_capacity(AT_ONCE);
    loop {
        let up = reachable.borrow_and_update().is_up();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = reachable.changed() => {}
            () = announcer.courier.announce.notified() => {}
            _ = sweep.tick() => {}
            _ = stored.recv_many(&mut taken, AT_ONCE), if up => {
                announcer.announce_stored(&mut taken).await;
                continue;
            }
        }
        if reachable.borrow().is_up() {
            announcer.empty().await;
        }
    }
    // What is stored from now on is due for whoever asks.
    stored.close();
    if reachable.borrow().is_up() {
        while !stored.is_empty() {
            taken.extend(std::iter::from_fn(|| stored.try_recv().ok()).take(AT_ONCE));
            announcer.announce_stored(&mut taken).await;
        }
        announcer.empty().await;
    }
    announcer.marked().await;
}

struct Announcer {
    courier: Arc<Courier>,
    publisher: Arc<dyn Publish>,
    /// What came of the events before is stored while the next ones are on their way.
    marking: JoinSet<Result<(), StoreError>>,
}

impl Announcer {
    /// Announces what was handed over, but for what others may announce by now.
    async fn announce_stored(&mut self, taken: &mut Vec<Announcement>) {
        let now = self.courier.store.now();
        let events = taken.drain(..).filter(|event| event.due_at > now).collect();
        self.announce(events).await;
    }

    /// Announces every event that is due.
    async fn empty(&mut self) {
        loop {
            // Else they would be due still.
            if !self.marked().await {
                return;
            }
            let amqp = &self.courier.config.amqp;
            // Should it take even longer, another replica sends a copy, which is allowed.
            let taken_for = 2 * (amqp.publish_timeout + amqp.confirm_timeout);
            let most = u32::try_from(AT_ONCE).unwrap_or(u32::MAX);
            match self.courier.store.unsent(most, taken_for).await {
                Ok(events) if events.is_empty() => return,
                Ok(events) => self.announce(events).await,
                Err(error) => {
                    tracing::warn!(%error, "events wait for the store");
                    return;
                }
            }
        }
    }

    async fn announce(&mut self, events: Vec<Announcement>) {
        let (courier, publisher) = (&self.courier, &self.publisher);
        let one_by_one = |events: Vec<Announcement>| async move {
            let mut results = Vec::with_capacity(events.len());
            for event in events {
                let result = publisher.publish(outgoing(courier, &event)).await;
                results.push((event, result));
            }
            results
        };
        let results = join_all(by_subject(events).into_values().map(one_by_one)).await;
        let (mut sent, mut postponed) = (Vec::new(), Vec::new());
        for (event, result) in results.into_iter().flatten() {
            match result {
                Ok(()) => sent.push(event),
                Err(error) => {
                    tell(&error, &event);
                    postponed.push(event);
                }
            }
        }
        if !sent.is_empty() {
            crash::after(Point::Announce);
        }
        self.courier.metrics.events.with_label_values(&["confirmed"]).inc_by(sent.len() as u64);
        self.courier.metrics.events.with_label_values(&["not_taken"]).inc_by(postponed.len() as u64);
        self.marked().await;
        let courier = self.courier.clone();
        self.marking.spawn(async move {
            courier.store.mark_sent(&sent).await?;
            courier.store.postpone(&postponed, PAUSE).await
        });
    }

    /// Waits until it is stored what came of every event that was on its way, and tells whether it is.
    async fn marked(&mut self) -> bool {
        let mut all = true;
        while let Some(end) = self.marking.join_next().await {
            match end {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => tracing::warn!(%error, "events wait for the store"),
                Err(error) => tracing::error!(%error, "a defect kept from the store which events were announced"),
            }
            all = false;
        }
        all
    }
}

/// What is told of one batch, in order: the broker's channels overtake each other.
fn by_subject(events: Vec<Announcement>) -> BTreeMap<String, Vec<Announcement>> {
    let mut by_subject = BTreeMap::<String, Vec<Announcement>>::new();
    for event in events {
        by_subject.entry(event.subject.clone()).or_default().push(event);
    }
    by_subject
}

fn tell(error: &PublishError, event: &Announcement) {
    if matches!(error, PublishError::Unroutable { .. }) {
        tracing::debug!(event = event.id, kind = event.kind, "nobody is bound for an event; it waits");
    } else {
        tracing::warn!(event = event.id, kind = event.kind, %error, "an event waits for the broker");
    }
}

fn outgoing(courier: &Courier, event: &Announcement) -> Outgoing {
    Outgoing {
        exchange: courier.config.amqp.events_exchange.clone(),
        routing_key: event.routing_key.clone(),
        body: event.body.clone().into_bytes(),
        content_type: Some(CONTENT_TYPE.into()),
        message_id: Some(event.id.clone()),
        kind: Some(event.kind.clone()),
        app_id: Some("testmo-courier".into()),
        timestamp_secs: u64::try_from(event.created_at / 1_000).ok(),
        ..Outgoing::default()
    }
}
