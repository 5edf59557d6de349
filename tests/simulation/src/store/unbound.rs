//! Keeps events that no queue is bound for apart from all others, by routing key.

use std::time::Duration;

use testmo_courier::store::outbox::OutboxEvent;
use testmo_courier::store::unbound::{Probe, Released, UnboundCounts};

use super::tables::{OutboxRow, Tables, UnboundKey, after};
use crate::mutation::Mutation;

const FIRST_PAUSE_MS: i64 = 5_000;
const LONGEST_PAUSE_MS: i64 = 60_000;
const WINDOW_MS: i64 = 1_000;

impl Tables {
    pub(crate) fn set_aside(&mut self, returned: &[OutboxEvent], behind: &[OutboxEvent], now: i64) {
        if self.has(Mutation::KeepUnbound) {
            return [returned, behind].into_iter().for_each(|of| self.postpone(of, Duration::from_secs(1), now));
        }
        for (event, is_returned) in
            behind.iter().map(|event| (event, false)).chain(returned.iter().map(|event| (event, true)))
        {
            let key = self.unbound_keys.entry(event.routing_key.clone()).or_insert(UnboundKey {
                since: now,
                returned_at: 0,
                pause: FIRST_PAUSE_MS,
                probe_at: now + FIRST_PAUSE_MS,
                probed_at: 0,
            });
            if is_returned {
                (key.returned_at, key.probe_at) = (now, now + key.pause);
            }
        }
        for events in [returned, behind] {
            let still_due = |row: &&mut OutboxRow| !row.sent && row.aside_at.is_none();
            self.rows_of(events).filter(still_due).for_each(|row| row.aside_at = Some(now));
        }
    }

    pub(crate) fn take_probes(&mut self, most: u32, lease: Duration, now: i64) -> Vec<Probe> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let taken = self.unbound_keys.values().filter(|key| key.probed_at > now - WINDOW_MS).count();
        let due = self.unbound_keys.iter().filter(|(_, key)| key.probe_at <= now);
        let mut due: Vec<(i64, String)> = due.map(|(name, key)| (key.probe_at, name.clone())).collect();
        due.sort();
        due.truncate(most.saturating_sub(taken));
        let mut probes = Vec::new();
        for (_, routing_key) in due {
            if let Some(key) = self.unbound_keys.get_mut(&routing_key) {
                (key.probed_at, key.probe_at) = (now, after(now, lease));
                key.pause = (key.pause * 2).min(LONGEST_PAUSE_MS);
            }
            let event = self.waiting(&routing_key).first().map(|row| row.event.clone());
            probes.push(Probe { routing_key, event });
        }
        probes
    }

    pub(crate) fn release_waiting(&mut self, key: &str, most: u32, taken_for: Duration, now: i64) -> Released {
        if !self.unbound_keys.contains_key(key) {
            return Released { events: Vec::new(), is_last: true };
        }
        let due_at = if self.shared { after(now, taken_for) } else { now };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut rows = self.waiting(key);
        rows.truncate(most);
        let release = |row: &mut OutboxRow| {
            row.aside_at = None;
            row.event.due_at = due_at;
            row.event.clone()
        };
        let events: Vec<OutboxEvent> = rows.into_iter().map(release).collect();
        let is_last = events.len() < most;
        if is_last {
            self.unbound_keys.remove(key);
        } else if let Some(key) = self.unbound_keys.get_mut(key) {
            (key.since, key.returned_at, key.probe_at) = (now, 0, after(now, taken_for) + LONGEST_PAUSE_MS);
        }
        Released { events, is_last }
    }

    pub(crate) fn unbound_counts(&self, old_events: Duration, old_keys: Duration, now: i64) -> UnboundCounts {
        let waiting = || self.outbox.values().filter(|row| !row.sent).filter_map(|row| row.aside_at);
        let count = |found: usize| i64::try_from(found).unwrap_or(i64::MAX);
        let old = |since: i64, time: Duration| after(since, time) <= now;
        UnboundCounts {
            events: count(waiting().count()),
            old_events: count(waiting().filter(|since| old(*since, old_events)).count()),
            old_keys: count(self.unbound_keys.values().filter(|key| old(key.since, old_keys)).count()),
        }
    }

    /// Removes events that had waited for a queue for `retention_ms` when the broker last returned one of their routing
    /// key, and gives their number.
    pub(crate) fn remove_unheard(&mut self, retention_ms: i64, most: usize) -> u64 {
        let old = |row: &OutboxRow| {
            let key = self.unbound_keys.get(&row.event.routing_key)?;
            row.aside_at.filter(|at| !row.sent && *at < key.returned_at - retention_ms)
        };
        let name = |row: &OutboxRow, at| (row.event.routing_key.clone(), at, row.number, row.event.id.clone());
        let mut ids: Vec<(String, i64, u64, String)> =
            self.outbox.values().filter_map(|row| Some(name(row, old(row)?))).collect();
        ids.sort();
        ids.truncate(most);
        for (.., id) in &ids {
            match self.outbox.get_mut(id) {
                Some(row) if row.event.kind.contains(".key.") => row.sent = true,
                Some(_) | None => drop(self.outbox.remove(id)),
            }
        }
        ids.len() as u64
    }

    /// The events of a routing key that wait for a queue, in the order of their creation.
    fn waiting(&mut self, key: &str) -> Vec<&mut OutboxRow> {
        let waits = |row: &&mut OutboxRow| !row.sent && row.aside_at.is_some() && row.event.routing_key == key;
        let mut rows: Vec<&mut OutboxRow> = self.outbox.values_mut().filter(waits).collect();
        rows.sort_by_key(|row| (row.event.created_at, row.number));
        rows
    }
}
