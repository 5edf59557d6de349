//! Announces events until the broker has confirmed each: fresh ones from memory, others from the outbox. An event that no
//! queue is bound for steps aside, and waits in the store until its routing key is routed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::courier::Courier;
use super::crash::{self, Point};
use crate::amqp::{Outgoing, Publish, PublishError};
use crate::batch::event::CONTENT_TYPE;
use crate::guard::{Panic, Task, guarded, may_panic};
use crate::store::StoreError;
use crate::store::outbox::OutboxEvent;
use crate::store::unbound::{Probe, Released};

/// How often the outbox is looked through for what a crash or an outage left.
const SWEEP: Duration = Duration::from_secs(5);
/// The most events on their way at once.
const AT_ONCE: usize = 500;
/// How often routing keys are tried that no queue was bound for.
const PROBE: Duration = Duration::from_secs(1);
/// The most routing keys that are tried in a second.
const PROBES: u32 = 20;
/// How long an event that the broker did not take waits, and a routing key whose probe came to no end.
const PAUSE: Duration = Duration::from_secs(30);
/// The most events that wait in memory to be announced; more wait in the store.
pub(super) const ROOM: usize = 4_000;
/// For how long an event is for the worker alone that has stored it. After a crash it waits for so long.
pub(super) const TURN: Duration = Duration::from_secs(5);
/// How long it is kept in mind that no queue is bound for a routing key: longer than an event stays at hand.
const REMEMBERED: Duration = Duration::from_secs(10);
/// How long a stopping worker goes on announcing. What is left is announced by another worker, or after the next start.
const FAREWELL: Duration = Duration::from_secs(3);

/// Announces what is stored until `stop`, and then what is at hand: what this worker stores comes by `stored`.
///
/// What is fresh, what is due in the store, and what has waited for a queue take turns, a chunk each.
pub(super) async fn announce(
    courier: Arc<Courier>,
    publisher: Arc<dyn Publish>,
    mut stored: mpsc::Receiver<OutboxEvent>,
    stop: CancellationToken,
) {
    let mut announcer = Announcer {
        courier: courier.clone(),
        publisher,
        marking: JoinSet::new(),
        returned: HashMap::new(),
        routed: VecDeque::new(),
    };
    let mut reachable = announcer.publisher.status();
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut probe_at = Instant::now();
    let mut taken = Vec::with_capacity(AT_ONCE);
    let (mut is_due, mut gone) = (false, false);
    loop {
        let up = !gone && reachable.borrow_and_update().is_up();
        let goes_on = up && (is_due || !announcer.routed.is_empty());
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = reachable.changed(), if !gone => (is_due, gone) = (true, changed.is_err()),
            () = announcer.courier.announce.notified() => is_due = true,
            _ = sweep.tick() => is_due = true,
            () = tokio::time::sleep_until(probe_at), if up => {}
            _ = stored.recv_many(&mut taken, AT_ONCE), if up => {}
            () = std::future::ready(()), if goes_on => {}
        }
        if !gone && reachable.borrow().is_up() {
            // Whatever woke it, each kind has its turn.
            if Instant::now() >= probe_at {
                unit(&courier, announcer.probe()).await;
                probe_at = Instant::now() + PROBE;
            }
            let room = AT_ONCE - taken.len();
            taken.extend(std::iter::from_fn(|| stored.try_recv().ok()).take(room));
            if !taken.is_empty() {
                unit(&courier, announcer.announce_stored(&mut taken)).await;
            }
            is_due = is_due && unit(&courier, announcer.announce_due()).await;
            unit(&courier, announcer.announce_routed()).await;
        }
    }
    // What is stored from now on is due for whoever asks.
    stored.close();
    if !gone && reachable.borrow().is_up() {
        let farewell = async {
            while !stored.is_empty() {
                taken.extend(std::iter::from_fn(|| stored.try_recv().ok()).take(AT_ONCE));
                unit(&courier, announcer.announce_stored(&mut taken)).await;
            }
            while unit(&courier, announcer.announce_due()).await {}
        };
        // What is under way then is announced again.
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::info!("events are left to be announced after the next start, or by another worker");
        }
    }
    announcer.marked().await;
}

struct Announcer {
    courier: Arc<Courier>,
    publisher: Arc<dyn Publish>,
    /// What came of the events before is stored while the next ones are on their way.
    marking: JoinSet<Result<(), StoreError>>,
    /// Routing keys that no queue was bound for a moment ago, each with how long that is kept in mind: for as long as
    /// events can be at hand that were stored before the store knew of it.
    returned: HashMap<String, Instant>,
    /// Routing keys for which a queue is bound again, whose waiting events are still to be announced.
    routed: VecDeque<String>,
}

/// What became of an event.
enum End {
    Confirmed,
    /// No queue is bound for it.
    Returned,
    /// It was not published, as no queue is bound for an earlier one.
    Behind,
    NotTaken,
}

impl Announcer {
    /// Announces what was handed over, but for what others may announce by now.
    async fn announce_stored(&mut self, taken: &mut Vec<OutboxEvent>) {
        let now = self.courier.store.now();
        let events = taken.drain(..).filter(|event| event.due_at > now).collect();
        self.announce(events).await;
    }

    /// Announces the next events that are due, and tells whether there may be more.
    async fn announce_due(&mut self) -> bool {
        // Else they would be due still.
        if !self.marked().await {
            return false;
        }
        match self.courier.store.unsent(most(), self.taken_for()).await {
            Ok(events) => {
                let some = !events.is_empty();
                self.announce(events).await;
                some
            }
            Err(error) => {
                tracing::warn!(%error, "events wait for the store");
                false
            }
        }
    }

    /// For how long events are for this worker alone. Should announcing take even longer, another replica sends a copy,
    /// which is allowed.
    fn taken_for(&self) -> Duration {
        let amqp = &self.courier.config.amqp;
        2 * (amqp.publish_timeout + amqp.confirm_timeout)
    }

    /// Tries routing keys that no queue was bound for, each with the first event that waits.
    async fn probe(&mut self) {
        let probes = match self.courier.store.take_probes(PROBES, PAUSE).await {
            Ok(probes) => probes,
            Err(error) => return tracing::warn!(%error, "events that no queue is bound for wait for the store"),
        };
        let (courier, publisher) = (&self.courier, &self.publisher);
        let ends = join_all(probes.into_iter().map(|Probe { routing_key, event }| async move {
            match event {
                Some(event) => {
                    let published = publish(courier, &**publisher, &event).await;
                    // A queue that is full is bound; and what cannot be published must not keep the others waiting.
                    let is_others_turn = matches!(
                        published,
                        Ok(())
                            | Err(PublishError::Refused { .. }
                                | PublishError::TooLarge { .. }
                                | PublishError::Malformed { .. })
                    );
                    let end = end_of(published, &event);
                    (routing_key, is_others_turn, Some((event, end)))
                }
                None => (routing_key, true, None),
            }
        }));
        let mut tried = Vec::new();
        for (key, is_others_turn, attempt) in ends.await {
            // Where nothing waits any more, releasing it has the key forgotten.
            if is_others_turn && !self.routed.contains(&key) {
                self.returned.remove(&key);
                self.routed.push_back(key);
            }
            match attempt {
                Some((event, end @ (End::Confirmed | End::Returned))) => tried.push((event, end)),
                // It goes on waiting, and its key is tried again later.
                Some((_, End::NotTaken | End::Behind)) => {
                    self.courier.metrics.event_publishes.with_label_values(&["failed"]).inc();
                }
                None => {}
            }
        }
        if !tried.is_empty() {
            self.note(tried).await;
        }
    }

    /// Announces the next events of a routing key for which a queue is bound again.
    async fn announce_routed(&mut self) {
        let Some(key) = self.routed.pop_front() else { return };
        // Else the event that it was tried with would be announced again. It is tried again later.
        if !self.marked().await {
            return;
        }
        match self.courier.store.release_waiting(&key, most(), self.taken_for()).await {
            Ok(Released { events, is_last }) => {
                let all_taken = self.announce(events).await;
                if all_taken && !is_last {
                    self.routed.push_back(key);
                }
            }
            Err(error) => tracing::warn!(%error, "events that a queue is bound for again wait for the store"),
        }
    }

    /// Announces events, and tells whether the broker took them all.
    async fn announce(&mut self, events: Vec<OutboxEvent>) -> bool {
        let now = Instant::now();
        self.returned.retain(|_, until| *until > now);
        let (courier, publisher) = (&self.courier, &self.publisher);
        let returned = Mutex::new(std::mem::take(&mut self.returned));
        let one_by_one = async |events: Vec<OutboxEvent>| {
            let mut ends = Vec::with_capacity(events.len());
            for event in events {
                let end = if event.unbound || knows(&returned, &event.routing_key) {
                    End::Behind
                } else {
                    end_of(publish(courier, &**publisher, &event).await, &event)
                };
                if let (End::Returned, Ok(mut returned)) = (&end, returned.lock()) {
                    returned.insert(event.routing_key.clone(), Instant::now() + REMEMBERED);
                }
                ends.push((event, end));
            }
            ends
        };
        let ends: Vec<(OutboxEvent, End)> =
            join_all(by_subject(events).into_values().map(one_by_one)).await.into_iter().flatten().collect();
        self.returned = returned.into_inner().unwrap_or_default();
        let all_taken = ends.iter().all(|(_, end)| matches!(end, End::Confirmed));
        self.note(ends).await;
        all_taken
    }

    /// Has it stored what became of events.
    async fn note(&mut self, ends: Vec<(OutboxEvent, End)>) {
        let (mut sent, mut returned, mut behind, mut postponed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (event, end) in ends {
            match end {
                End::Confirmed => sent.push(event),
                End::Returned => returned.push(event),
                End::Behind => behind.push(event),
                End::NotTaken => postponed.push(event),
            }
        }
        if !sent.is_empty() {
            crash::after(Point::Announce);
        }
        for (result, events) in [("confirmed", &sent), ("unroutable", &returned), ("failed", &postponed)] {
            self.courier.metrics.event_publishes.with_label_values(&[result]).inc_by(events.len() as u64);
        }
        self.marked().await;
        let courier = self.courier.clone();
        self.marking.spawn(async move {
            courier.store.mark_sent(&sent).await?;
            courier.store.set_aside(&returned, &behind).await?;
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
                Err(error) => {
                    let panic = Panic(error.to_string());
                    self.courier.panicked(Task::Announcer, &"what is stored of events that were announced", panic);
                }
            }
            all = false;
        }
        all
    }
}

fn most() -> u32 {
    u32::try_from(AT_ONCE).unwrap_or(u32::MAX)
}

fn knows(returned: &Mutex<HashMap<String, Instant>>, key: &str) -> bool {
    returned.lock().is_ok_and(|returned| returned.contains_key(key))
}

/// What is told of one batch, in order: the broker's channels overtake each other.
fn by_subject(events: Vec<OutboxEvent>) -> BTreeMap<String, Vec<OutboxEvent>> {
    let mut by_subject = BTreeMap::<String, Vec<OutboxEvent>>::new();
    for event in events {
        by_subject.entry(event.subject.clone()).or_default().push(event);
    }
    by_subject
}

fn end_of(published: Result<(), PublishError>, event: &OutboxEvent) -> End {
    match published {
        Ok(()) => End::Confirmed,
        Err(PublishError::Unroutable { .. }) => {
            tracing::debug!(
                event = event.id,
                event_type = event.kind,
                "no queue is bound for an event; it waits for one"
            );
            End::Returned
        }
        Err(
            error @ (PublishError::Refused { .. }
            | PublishError::Forbidden { .. }
            | PublishError::Unknown { .. }
            | PublishError::Unavailable { .. }
            | PublishError::TooLarge { .. }
            | PublishError::Malformed { .. }),
        ) => {
            tracing::warn!(event = event.id, event_type = event.kind, %error, "an event waits for the broker");
            End::NotTaken
        }
    }
}

/// Does something over several events, and counts its panic. They are due again, and only the next look finds them.
async fn unit<T: Default>(courier: &Courier, work: impl Future<Output = T>) -> T {
    guarded(work).await.unwrap_or_else(|panic| {
        courier.panicked(Task::Announcer, &"events", panic);
        T::default()
    })
}

/// Publishes one event; a panic over it counts as an end of which nothing is known.
async fn publish(courier: &Courier, publisher: &dyn Publish, event: &OutboxEvent) -> Result<(), PublishError> {
    let publishing = async {
        may_panic("publish", &event.subject);
        publisher.publish(outgoing(courier, event)).await
    };
    guarded(publishing).await.unwrap_or_else(|panic| {
        let cause = courier.panicked(Task::Announcer, &event.id, panic).to_string();
        Err(PublishError::Unknown { cause })
    })
}

fn outgoing(courier: &Courier, event: &OutboxEvent) -> Outgoing {
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
