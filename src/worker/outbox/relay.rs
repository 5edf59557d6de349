//! Publishes events until the broker has confirmed each: fresh ones from memory, others from the store. An event that
//! no queue is bound for steps aside, and waits in the store until its routing key is bound.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::ends::{Ends, PAUSE};
use super::publish::{End, by_subject, end_of, publish};
use super::unbound::{Probed, UnboundKeys, probe_all};
use crate::amqp::Publish;
use crate::guard::{Task, guarded};
use crate::store::outbox::OutboxEvent;
use crate::store::unbound::Released;
use crate::worker::context::WorkerContext;
use crate::worker::unit::panicked;

/// How often the store is searched for events that a crash or an outage left.
const SWEEP: Duration = Duration::from_secs(5);
/// The most events that are on their way at once.
const AT_ONCE: usize = 500;
/// How often routing keys are probed that no queue was bound for.
const PROBE: Duration = Duration::from_secs(1);
/// The most routing keys that are probed in a second.
const PROBES: u32 = 20;
/// The most events that wait in memory to be published; more wait in the store.
pub(in crate::worker) const RELAY_CAPACITY: usize = 4_000;
/// How long a stopping worker goes on publishing. Another worker, or the next start, publishes the rest.
pub(in crate::worker) const FAREWELL: Duration = Duration::from_secs(3);

/// Publishes stored events until `stop`, and then the events in memory, until they are left to others; events that this
/// worker stores arrive by `fresh`.
///
/// Fresh events, events that are due in the store, and events whose routing key is bound again take turns, a chunk
/// each.
pub(in crate::worker) async fn relay(
    context: Arc<WorkerContext>,
    publisher: Arc<dyn Publish>,
    mut fresh: mpsc::Receiver<OutboxEvent>,
    (stop, left): (CancellationToken, CancellationToken),
) {
    let mut relay = Relay::new(context.clone(), publisher, left);
    let mut reachable = relay.publisher.status();
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_due, mut gone) = (false, false);
    loop {
        let up = !gone && reachable.borrow_and_update().is_up();
        let goes_on = up && (is_due || !relay.bound.is_empty());
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = reachable.changed(), if !gone => (is_due, gone) = (true, changed.is_err()),
            () = context.outbox_wanted.notified() => is_due = true,
            _ = sweep.tick() => is_due = true,
            () = tokio::time::sleep_until(relay.probe_at), if up => {}
            _ = fresh.recv_many(&mut relay.taken, AT_ONCE), if up => {}
            () = std::future::ready(()), if goes_on => {}
        }
        if !gone && reachable.borrow().is_up() {
            is_due = relay.take_turns(&mut fresh, is_due).await;
        }
    }
    // Any worker may publish the events that are stored from now on.
    fresh.close();
    if !gone && reachable.borrow().is_up() {
        relay.publish_rest(&mut fresh).await;
        if relay.left.is_cancelled() {
            tracing::info!("some events are not published yet; the next start or another worker publishes them");
        }
    }
    relay.ends.stored().await;
}

struct Relay {
    context: Arc<WorkerContext>,
    publisher: Arc<dyn Publish>,
    ends: Ends,
    unbound: UnboundKeys,
    /// Routing keys for which a queue is bound again, whose waiting events are still to be published.
    bound: VecDeque<String>,
    /// Fresh events that were taken and are to be published.
    taken: Vec<OutboxEvent>,
    probe_at: Instant,
    /// Cancelled when events that are under way are left to another worker or the next start.
    left: CancellationToken,
}

impl Relay {
    fn new(context: Arc<WorkerContext>, publisher: Arc<dyn Publish>, left: CancellationToken) -> Self {
        Self {
            ends: Ends::new(context.clone()),
            context,
            publisher,
            unbound: UnboundKeys::default(),
            bound: VecDeque::new(),
            taken: Vec::with_capacity(AT_ONCE),
            probe_at: Instant::now(),
            left,
        }
    }

    /// Gives each kind of event a turn; returns whether more may be due in the store.
    async fn take_turns(&mut self, fresh: &mut mpsc::Receiver<OutboxEvent>, is_due: bool) -> bool {
        let context = self.context.clone();
        if Instant::now() >= self.probe_at {
            unit(&context, self.probe()).await;
            self.probe_at = Instant::now() + PROBE;
        }
        let room = AT_ONCE - self.taken.len();
        self.taken.extend(std::iter::from_fn(|| fresh.try_recv().ok()).take(room));
        if !self.taken.is_empty() {
            unit(&context, self.publish_fresh()).await;
        }
        let is_due = is_due && unit(&context, self.publish_due()).await;
        unit(&context, self.publish_bound()).await;
        is_due
    }

    /// Publishes everything in memory and everything that is due.
    async fn publish_rest(&mut self, fresh: &mut mpsc::Receiver<OutboxEvent>) {
        let context = self.context.clone();
        while !fresh.is_empty() && !self.left.is_cancelled() {
            self.taken.extend(std::iter::from_fn(|| fresh.try_recv().ok()).take(AT_ONCE));
            unit(&context, self.publish_fresh()).await;
        }
        while !self.left.is_cancelled() && unit(&context, self.publish_due()).await {}
    }

    /// Publishes fresh events, except those that other workers may publish by now.
    async fn publish_fresh(&mut self) {
        let now = self.context.store.now();
        let events = self.taken.drain(..).filter(|event| event.due_at > now).collect();
        self.publish(events).await;
    }

    /// Publishes the next events that are due, and returns whether there may be more.
    async fn publish_due(&mut self) -> bool {
        // Otherwise the events before would still be due.
        if !self.ends.stored().await {
            return false;
        }
        match self.context.store.unsent(most(), self.taken_for()).await {
            Ok(events) => {
                let some = !events.is_empty();
                self.publish(events).await;
                some
            }
            Err(error) => {
                tracing::warn!(%error, "due events cannot be read from the store");
                false
            }
        }
    }

    /// Returns for how long events are for this worker alone. If publishing takes longer, another worker sends a copy,
    /// which is allowed.
    fn taken_for(&self) -> Duration {
        let amqp = &self.context.config.amqp;
        2 * (amqp.publish_timeout + amqp.confirm_timeout)
    }

    /// Probes routing keys that no queue was bound for, each with the first event that waits.
    async fn probe(&mut self) {
        let probes = match self.context.store.take_probes(PROBES, PAUSE).await {
            Ok(probes) => probes,
            Err(error) => return tracing::warn!(%error, "unroutable events cannot be read from the store"),
        };
        let mut ends = Vec::new();
        let left = self.left.clone();
        let probing = probe_all(&self.context, &*self.publisher, probes);
        // Keys whose probe is left are probed again later.
        for Probed { routing_key, is_bound, attempt } in left.run_until_cancelled(probing).await.unwrap_or_default() {
            if is_bound && !self.bound.contains(&routing_key) {
                self.unbound.remove(&routing_key);
                self.bound.push_back(routing_key);
            }
            match attempt {
                Some((event, end @ (End::Confirmed | End::Returned))) => ends.push((event, end)),
                // It goes on waiting, and its key is probed again later.
                Some((_, End::NotTaken | End::Behind)) => {
                    self.context.metrics.event_publishes.with_label_values(&["failed"]).inc();
                }
                None => {}
            }
        }
        if !ends.is_empty() {
            self.ends.store(ends).await;
        }
    }

    /// Publishes the next events of a routing key for which a queue is bound again.
    async fn publish_bound(&mut self) {
        let Some(key) = self.bound.pop_front() else { return };
        // Otherwise the event that the key was probed with would be published again. The key is probed again later.
        if !self.ends.stored().await {
            return;
        }
        match self.context.store.release_waiting(&key, most(), self.taken_for()).await {
            Ok(Released { events, is_last }) => {
                let all_taken = self.publish(events).await;
                if all_taken && !is_last {
                    self.bound.push_back(key);
                }
            }
            Err(error) => tracing::warn!(%error, "events that are routable again cannot be read from the store"),
        }
    }

    /// Publishes events, and returns whether the broker took them all.
    async fn publish(&mut self, events: Vec<OutboxEvent>) -> bool {
        self.unbound.expire();
        let in_order = by_subject(events).into_values().map(|events| self.publish_in_order(events));
        let mut publishing: FuturesUnordered<_> = in_order.collect();
        let (mut ends, mut all_taken) = (Vec::new(), true);
        loop {
            // Without the end of an event that the broker does not confirm, the ends of the others are stored.
            match self.left.run_until_cancelled(publishing.next()).await {
                Some(Some(of_subject)) => ends.extend(of_subject),
                Some(None) => break,
                None => {
                    all_taken = false;
                    break;
                }
            }
        }
        drop(publishing);
        all_taken &= ends.iter().all(|(_, end)| matches!(end, End::Confirmed));
        self.ends.store(ends).await;
        all_taken
    }

    /// Publishes the events of one subject, one after the other.
    async fn publish_in_order(&self, events: Vec<OutboxEvent>) -> Vec<(OutboxEvent, End)> {
        let mut ends = Vec::with_capacity(events.len());
        for event in events {
            let end = if event.unbound || self.unbound.holds(&event.routing_key) {
                End::Behind
            } else {
                end_of(publish(&self.context, &*self.publisher, &event).await, &event)
            };
            if matches!(end, End::Returned) {
                self.unbound.add(&event.routing_key);
            }
            ends.push((event, end));
        }
        ends
    }
}

fn most() -> u32 {
    u32::try_from(AT_ONCE).unwrap_or(u32::MAX)
}

/// Runs work on several events, and counts its panic. The events are due again, and only the next search finds them.
async fn unit<T: Default>(context: &WorkerContext, work: impl Future<Output = T>) -> T {
    guarded(work).await.unwrap_or_else(|panic| {
        panicked(context, Task::OutboxRelay, &"events", panic);
        T::default()
    })
}
