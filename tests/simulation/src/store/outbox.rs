//! Which events are still to be announced?

use std::collections::btree_map::Entry;
use std::time::Duration;

use testmo_courier::batch::event::Event;
use testmo_courier::store::PruneRound;
use testmo_courier::store::outbox::OutboxEvent;

use super::tables::{OutboxRow, Tables, after};
use crate::mutation::Mutation;

impl Tables {
    /// Stores events; one that is stored already stays as it is. Gives those that were not stored before and do not wait
    /// for a queue.
    pub(crate) fn put_events(&mut self, events: &[Event], owner_grace: Option<Duration>, now: i64) -> Vec<OutboxEvent> {
        let mut fresh = Vec::new();
        let is_lost = |event: &&Event| self.mutation == Some(Mutation::LoseEvents) && event.id.starts_with(['0', '1']);
        for event in events.iter().filter(|event| !is_lost(event)) {
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
        let (shared, is_early) = (self.shared, self.has(Mutation::MarkSentEarly));
        let unbound_keys = &self.unbound_keys;
        let is_due = |row: &&mut OutboxRow| !row.sent && row.aside_at.is_none() && row.event.due_at <= now;
        let mut due: Vec<&mut OutboxRow> = self.outbox.values_mut().filter(is_due).collect();
        due.sort_by_key(|row| (row.event.due_at, row.number));
        due.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        due.sort_by_key(|row| (row.event.created_at, row.number));
        let take = |row: &mut OutboxRow| {
            row.sent = is_early;
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

    /// Returns the bodies of the events of a subject, the oldest first.
    pub(crate) fn bodies_of(&self, subject: &str) -> Vec<String> {
        let mut rows: Vec<&OutboxRow> = self.outbox.values().filter(|row| row.event.subject == subject).collect();
        rows.sort_by_key(|row| (row.event.created_at, row.event.id.as_str()));
        rows.into_iter().map(|row| row.event.body.clone()).collect()
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

    pub(crate) fn prune_events(&mut self, round: &mut PruneRound, most: usize) -> u64 {
        let place = |row: &OutboxRow| (row.event.created_at, row.event.subject.clone(), row.event.id.clone());
        let is_next = |(at, subject, id): &(i64, String, String)| {
            let last = round.last_event.as_ref();
            *at < round.before && last.is_none_or(|last| (*at, subject, id) > (last.0, &last.1, &last.2))
        };
        let mut old: Vec<_> = self.outbox.values().map(place).filter(is_next).collect();
        old.sort();
        old.truncate(most);
        round.no_events_left = old.len() < most;
        round.last_event = old.last().cloned().or(round.last_event.take());
        let is_over =
            |id: &String| self.outbox.get(id).is_some_and(|row| row.sent && !row.event.kind.contains(".key."));
        let over: Vec<String> = old.into_iter().map(|(.., id)| id).filter(is_over).collect();
        over.iter().filter(|id| self.outbox.remove(*id).is_some()).map(|_| 1).sum()
    }
}
