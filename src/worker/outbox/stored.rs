//! Publishes the events of the store: those that are due, and those of routing keys that are bound again.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::ends::{Ends, PAUSE, SHORT_PAUSE};
use super::publish::End;
use super::publishing::{AT_ONCE, Publishing, unit};
use super::unbound::{Probed, probe_all};
use crate::store::unbound::Released;

/// How often the store is searched for events that a crash or an outage left.
const SWEEP: Duration = Duration::from_secs(5);
/// The longest time for which events are for one worker alone. They wait as long after a crash while they were published.
const LONGEST_TAKEN: Duration = Duration::from_secs(10);
/// How often routing keys are probed that no queue was bound for.
const PROBE: Duration = Duration::from_secs(1);
/// The most routing keys that are probed in a second.
const PROBES: u32 = 20;

/// Publishes the events of the store until `stop`, and then what is due, until it is left to others. Events that are due,
/// and events whose routing key is bound again take turns, a chunk each.
pub(super) async fn publish_stored(publishing: &Publishing, stop: &CancellationToken) {
    let context = &publishing.context;
    let mut stored =
        StoredEvents { publishing, ends: Ends::new(context.clone()), bound: VecDeque::new(), probe_at: Instant::now() };
    let mut reachable = publishing.publisher.status();
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut is_due, mut gone) = (false, false);
    loop {
        let up = !gone && reachable.borrow_and_update().is_up();
        let goes_on = up && (is_due || !stored.bound.is_empty());
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            changed = reachable.changed(), if !gone => {
                (is_due, gone) = (true, changed.is_err());
                // What was on its way when the connection ended is due by then.
                sweep.reset_after(2 * SHORT_PAUSE);
            }
            () = context.outbox_wanted.notified() => is_due = true,
            _ = sweep.tick() => is_due = true,
            () = tokio::time::sleep_until(stored.probe_at), if up => {}
            () = std::future::ready(()), if goes_on => {}
        }
        if !gone && reachable.borrow().is_up() {
            is_due = stored.take_turns(is_due).await;
        }
    }
    if !gone && reachable.borrow().is_up() {
        while !publishing.left.is_cancelled() && unit(context, stored.publish_due()).await {}
    }
    stored.ends.stored().await;
}

struct StoredEvents<'a> {
    publishing: &'a Publishing,
    ends: Ends,
    /// Routing keys for which a queue is bound again, whose waiting events are still to be published.
    bound: VecDeque<String>,
    probe_at: Instant,
}

impl StoredEvents<'_> {
    /// Gives each kind of event a turn; returns whether more may be due.
    async fn take_turns(&mut self, is_due: bool) -> bool {
        let context = &self.publishing.context;
        if Instant::now() >= self.probe_at {
            unit(context, self.probe()).await;
            self.probe_at = Instant::now() + PROBE;
        }
        let is_due = is_due && unit(context, self.publish_due()).await;
        unit(context, self.publish_bound()).await;
        is_due
    }

    /// Publishes the next events that are due, and returns whether there may be more.
    async fn publish_due(&mut self) -> bool {
        // Otherwise the events before would still be due.
        if !self.ends.stored().await {
            return false;
        }
        match self.publishing.context.store.unsent(most(), self.taken_for()).await {
            Ok(events) => {
                let some = !events.is_empty();
                self.publishing.publish(events, &mut self.ends).await;
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
        let amqp = &self.publishing.context.config.amqp;
        LONGEST_TAKEN.min(2 * (amqp.publish_timeout + amqp.confirm_timeout))
    }

    /// Probes routing keys that no queue was bound for, each with the first event that waits.
    async fn probe(&mut self) {
        let probes = match self.publishing.context.store.take_probes(PROBES, PAUSE).await {
            Ok(probes) => probes,
            Err(error) => return tracing::warn!(%error, "unroutable events cannot be read from the store"),
        };
        let mut ends = Vec::new();
        let left = self.publishing.left.clone();
        let probing = probe_all(&self.publishing.context, &*self.publishing.publisher, probes);
        // Keys whose probe is left are probed again later.
        for Probed { routing_key, is_bound, attempt } in left.run_until_cancelled(probing).await.unwrap_or_default() {
            if is_bound && !self.bound.contains(&routing_key) {
                self.publishing.unbound.remove(&routing_key);
                self.bound.push_back(routing_key);
            }
            match attempt {
                Some((event, end @ (End::Confirmed | End::Returned))) => ends.push((event, end)),
                // It goes on waiting, and its key is probed again later.
                Some((_, End::NotNow | End::NotTaken | End::Behind)) => {
                    self.publishing.context.metrics.event_publishes.with_label_values(&["failed"]).inc();
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
        match self.publishing.context.store.release_waiting(&key, most(), self.taken_for()).await {
            Ok(Released { events, is_last }) => {
                let all_taken = self.publishing.publish(events, &mut self.ends).await;
                if all_taken && !is_last {
                    self.bound.push_back(key);
                }
            }
            Err(error) => tracing::warn!(%error, "events that are routable again cannot be read from the store"),
        }
    }
}

fn most() -> u32 {
    u32::try_from(AT_ONCE).unwrap_or(u32::MAX)
}
