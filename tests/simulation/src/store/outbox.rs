//! Which events are still to be announced?

use std::collections::btree_map::Entry;
use std::time::Duration;

use testmo_courier::batch::event::Event;
use testmo_courier::store::outbox::OutboxEvent;

use super::tables::{OutboxRow, Tables, after};

impl Tables {
    /// Stores events; one that is stored already stays as it is. Gives those that were not stored before and do not wait
    /// for a queue.
    pub(crate) fn put_events(&mut self, events: &[Event], owner_grace: Option<Duration>, now: i64) -> Vec<OutboxEvent> {
        let mut fresh = Vec::new();
        for event in events {
            self.announced += 1;
            let Entry::Vacant(place) = self.outbox.entry(event.id.clone()) else { continue };
            let event = OutboxEvent::of(event, now, owner_grace.map_or(now, |grace| after(now, grace)));
            let aside_at = self.unbound_keys.contains_key(&event.routing_key).then_some(now);
            if aside_at.is_none() {
                fresh.push(event.clone());
            }
            place.insert(OutboxRow { number: self.announced, event, sent: false, aside_at });
        }
        fresh
    }

    pub(crate) fn unsent(&mut self, most: u32, taken_for: Duration, now: i64) -> Vec<OutboxEvent> {
        let (shared, unbound_keys) = (self.shared, &self.unbound_keys);
        let is_due = |row: &&mut OutboxRow| !row.sent && row.aside_at.is_none() && row.event.due_at <= now;
        let mut due: Vec<&mut OutboxRow> = self.outbox.values_mut().filter(is_due).collect();
        due.sort_by_key(|row| (row.event.due_at, row.number));
        due.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        due.sort_by_key(|row| (row.event.created_at, row.number));
        let take = |row: &mut OutboxRow| {
            if shared {
                row.event.due_at = after(now, taken_for);
            }
            let unbound = unbound_keys.contains_key(&row.event.routing_key);
            OutboxEvent { unbound, ..row.event.clone() }
        };
        due.into_iter().map(take).collect()
    }

    /// The rows that are still to be announced as the announcements say.
    pub(super) fn rows_of<'a>(&'a mut self, events: &'a [OutboxEvent]) -> impl Iterator<Item = &'a mut OutboxRow> {
        let is_meant =
            |row: &&mut OutboxRow| events.iter().any(|e| e.id == row.event.id && e.due_at == row.event.due_at);
        self.outbox.values_mut().filter(is_meant)
    }

    pub(crate) fn mark_sent(&mut self, sent: &[OutboxEvent]) {
        self.rows_of(sent).for_each(|row| row.sent = true);
    }

    pub(crate) fn postpone(&mut self, events: &[OutboxEvent], pause: Duration, now: i64) {
        self.rows_of(events).for_each(|row| row.event.due_at = after(now, pause));
    }

    pub(crate) fn unsent_count(&self) -> i64 {
        self.outbox.values().filter(|row| !row.sent).map(|_| 1).sum()
    }

    pub(crate) fn due_count(&self) -> i64 {
        self.outbox.values().filter(|row| !row.sent && row.aside_at.is_none()).map(|_| 1).sum()
    }

    /// Due now, but never at the time it was due at before: whoever is just announcing it does not mark it as sent.
    pub(crate) fn resend_event(&mut self, id: &str, now: i64) {
        if let Some(row) = self.outbox.get_mut(id) {
            row.aside_at = row.aside_at.filter(|_| !row.sent);
            row.sent = false;
            row.event.due_at = if row.event.due_at == now { now - 1 } else { now };
        }
    }

    pub(crate) fn prune_events(&mut self, before: i64, most: usize) -> u64 {
        let old = |row: &&OutboxRow| row.event.created_at < before && row.sent && !row.event.kind.contains(".key.");
        let mut ids: Vec<(i64, u64, String)> = self
            .outbox
            .values()
            .filter(old)
            .map(|row| (row.event.created_at, row.number, row.event.id.clone()))
            .collect();
        ids.sort();
        ids.truncate(most);
        ids.iter().filter(|(_, _, id)| self.outbox.remove(id).is_some()).map(|_| 1).sum()
    }
}
