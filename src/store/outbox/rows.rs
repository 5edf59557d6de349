//! Stores events and changes their rows, within the transaction of a change.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::StoreError;
use super::super::ledger::Commit;
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::{OutboxEvent, PublishAttempt};
use crate::batch::event::Event;

/// Makes an event due now with a new `due_at`, so that a publish in flight cannot mark this attempt as sent.
pub(super) const DUE_AGAIN: &str = "sent_at = NULL, aside_at = CASE WHEN sent_at IS NULL THEN aside_at END, due_at = CASE WHEN due_at = $2 THEN $2 - 1 ELSE $2 END";

pub(in crate::store) fn event_in_row(row: &AnyRow) -> Result<OutboxEvent, StoreError> {
    Ok(OutboxEvent {
        subject: row.text("due_subject")?,
        id: row.text("due_id")?,
        kind: row.text("kind")?,
        routing_key: row.text("routing_key")?,
        body: row.text("body")?,
        created_at: row.int("created_at")?,
        due_at: row.int("due_at")?,
        unbound: row.int("unbound")? != 0,
    })
}

/// Notes which events the broker has confirmed.
pub(in crate::store) async fn sent(
    conn: &mut AnyConnection,
    now: i64,
    sent: Vec<PublishAttempt>,
) -> Result<(), StoreError> {
    set_for(conn, sent, "sent_at", now).await
}

pub(super) async fn set_for(
    conn: &mut AnyConnection,
    mut events: Vec<PublishAttempt>,
    column: &'static str,
    value: i64,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    events.sort();
    let rows = Bound::from(events.as_slice());
    let events = Dialect::of(conn).rows(&[("subject", Kind::Text), ("id", Kind::Text), ("due", Kind::Int)]);
    let sql = format!(
        "UPDATE outbox SET {column} = $2 FROM {events} WHERE outbox.subject = r.subject AND outbox.event_id = r.id \
         AND outbox.due_at = r.due"
    );
    sql::execute(conn, sql, vec![rows, Bound::Int(value)]).await?;
    Ok(())
}

/// Events that were stored just now, and not before, and do not wait for a queue.
#[derive(Debug, Default)]
pub(in crate::store) struct StoredEvents {
    now: i64,
    fresh: HashSet<String>,
}

impl StoredEvents {
    /// Those of them that came with a change; another of the same moment can have the same event.
    pub(in crate::store) fn take_for(&mut self, change: &Commit) -> Vec<OutboxEvent> {
        let (now, due_at) = (self.now, due_at(self.now, change.owner_grace));
        let fresh = change.events.iter().filter(|event| self.fresh.remove(&event.id));
        fresh.map(|event| OutboxEvent::of(event, now, due_at)).collect()
    }
}

fn due_at(now: i64, owner_grace: Option<Duration>) -> i64 {
    owner_grace.map_or(now, |grace| after(now, grace))
}

pub(in crate::store) fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

#[derive(Serialize)]
struct EventRow<'a> {
    event_id: &'a str,
    kind: &'static str,
    routing_key: &'a str,
    subject: &'a str,
    body: &'a str,
    due_at: i64,
}

/// Stores events, each with the time for which its owner publishes it; one that is stored already stays as it is.
/// Where earlier events of its routing key wait for a queue, an event waits behind them.
pub(in crate::store) async fn put<'a>(
    conn: &mut AnyConnection,
    now: i64,
    mut events: Vec<(&'a Event, Option<Duration>)>,
) -> Result<StoredEvents, StoreError> {
    let mut put = StoredEvents { now, ..StoredEvents::default() };
    let row = |(event, owner_grace): (&'a Event, Option<Duration>)| EventRow {
        event_id: &event.id,
        kind: event.kind,
        routing_key: &event.routing_key,
        subject: &event.subject,
        body: &event.body,
        due_at: due_at(now, owner_grace),
    };
    events.sort_by_key(|(event, _)| (&event.subject, &event.id));
    let rows: Vec<EventRow<'a>> = events.into_iter().map(row).collect();
    if rows.is_empty() {
        return Ok(put);
    }
    let columns = [
        ("event_id", Kind::Text),
        ("kind", Kind::Text),
        ("routing_key", Kind::Text),
        ("subject", Kind::Text),
        ("body", Kind::Text),
        ("due_at", Kind::Int),
    ];
    let dialect = Dialect::of(conn);
    // A release of the key's events waits until this one is among them, or has committed before it is stored.
    let sql = format!(
        "INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at, aside_at) \
         SELECT event_id, kind, routing_key, subject, body, $2, due_at, CASE WHEN (SELECT k.routing_key \
         FROM unbound_keys k WHERE k.routing_key = r.routing_key {}) IS NULL THEN NULL ELSE $2 END FROM {} WHERE true \
         ON CONFLICT (subject, event_id) DO NOTHING RETURNING event_id, aside_at",
        dialect.stay(),
        dialect.rows(&columns)
    );
    for row in sql::fetch(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await? {
        if row.maybe_int("aside_at")?.is_none() {
            put.fresh.insert(row.text("event_id")?);
        }
    }
    Ok(put)
}
