//! Which events are still to be announced? Stored with the settlement, until the broker has confirmed them.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::ledger::Change;
use super::sql::{self, Bound, Columns, Dialect, Kind};
use super::{Store, StoreError};
use crate::batch::event::Event;

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEvent {
    /// The event's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// What it is about, which with its id is its name in the store.
    pub subject: String,
    /// Its routing key.
    pub routing_key: String,
    /// The JSON text.
    pub body: String,
    /// When it was stored, in milliseconds on the store's clock.
    pub created_at: i64,
    /// Which time of announcing it this is: [`Store::announce_event_again`] makes it another one.
    pub due_at: i64,
    /// Whether earlier events of its routing key wait for a queue, so that it has to wait behind them.
    pub unbound: bool,
}

impl OutboxEvent {
    /// An event that is stored at `created_at`.
    pub fn of(event: &Event, created_at: i64, due_at: i64) -> Self {
        Self {
            id: event.id.clone(),
            kind: event.kind.to_owned(),
            subject: event.subject.clone(),
            routing_key: event.routing_key.clone(),
            body: event.body.clone(),
            created_at,
            due_at,
            unbound: false,
        }
    }
}

/// One time of announcing an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Time {
    subject: String,
    id: String,
    due: i64,
}

impl Time {
    pub(super) fn of(event: &OutboxEvent) -> Self {
        Self { subject: event.subject.clone(), id: event.id.clone(), due: event.due_at }
    }
}

impl Store {
    /// Events that are to be announced now, oldest first; without those that wait for a queue.
    ///
    /// Where replicas share the store, each event is given to one of them for `taken_for`; it is due again after that.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn unsent(&self, most: u32, taken_for: Duration) -> Result<Vec<OutboxEvent>, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let due = "SELECT subject AS due_subject, event_id AS due_id, kind, routing_key, body, created_at, due_at, \
                   CAST(CASE WHEN EXISTS (SELECT 1 FROM unbound_keys k WHERE k.routing_key = outbox.routing_key) \
                   THEN 1 ELSE 0 END AS BIGINT) AS unbound FROM outbox \
                   WHERE sent_at IS NULL AND aside_at IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2";
        let mut bounds = vec![Bound::Int(now), Bound::Int(i64::from(most))];
        let dialect = Dialect::of(&conn);
        let sql = if dialect.is_shared() {
            bounds.push(Bound::Int(after(now, taken_for)));
            format!(
                "WITH due AS MATERIALIZED ({due} {}) UPDATE outbox SET due_at = $3 FROM due \
                 WHERE subject = due_subject AND event_id = due_id RETURNING due_subject, due_id, outbox.kind, outbox.routing_key, outbox.body, outbox.created_at, outbox.due_at, unbound",
                dialect.skip_taken()
            )
        } else {
            // One worker announces, so there is nothing to write down.
            due.to_owned()
        };
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        let mut unsent: Vec<OutboxEvent> = rows.iter().map(announcement).collect::<Result<_, _>>()?;
        unsent.sort_by_key(|event| event.created_at);
        Ok(unsent)
    }

    /// Marks events as confirmed by the broker, unless they are to be announced again by now.
    ///
    /// # Errors
    /// When the store does not answer; they are then announced again.
    pub async fn mark_sent(&self, sent: &[OutboxEvent]) -> Result<(), StoreError> {
        if sent.is_empty() { Ok(()) } else { self.group.sent(sent.iter().map(Time::of).collect()).await }
    }

    /// Has events announced again after a pause, as the broker did not take them.
    ///
    /// # Errors
    /// When the store does not answer; they are then announced again at once.
    pub async fn postpone(&self, events: &[OutboxEvent], pause: Duration) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let due_at = after(self.now(), pause);
        set_for(&mut *self.writing().await?, events.iter().map(Time::of).collect(), "due_at", due_at).await
    }

    /// How many events the broker has not confirmed, without those that wait for a queue; at most [`MOST_COUNTED`].
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn due_count(&self) -> Result<i64, StoreError> {
        let mut conn = self.reading().await?;
        let sql = format!(
            "SELECT COUNT(*) AS n FROM (SELECT 1 FROM outbox WHERE sent_at IS NULL AND aside_at IS NULL \
             LIMIT {MOST_COUNTED}) AS counted"
        );
        sql::fetch(&mut conn, sql, vec![]).await?.first().map_or(Ok(0), |row| row.int("n"))
    }

    /// Has one event announced once more, even if it is just being announced. One that waits for a queue goes on
    /// waiting.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn announce_event_again(&self, subject: &str, id: &str) -> Result<(), StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let sql = format!("UPDATE outbox SET {DUE_AGAIN} WHERE subject = $1 AND event_id = $3");
        let bounds = vec![Bound::Text(subject.into()), Bound::Int(now), Bound::Text(id.into())];
        sql::execute(&mut conn, sql, bounds).await?;
        Ok(())
    }
}

/// The most events that are counted, so that counting costs the same however many wait.
pub const MOST_COUNTED: i64 = 10_000;

/// Due now, but never at the time it was due at before: whoever is just announcing it does not mark it as sent then.
const DUE_AGAIN: &str = "sent_at = NULL, aside_at = CASE WHEN sent_at IS NULL THEN aside_at END, due_at = CASE WHEN due_at = $2 THEN $2 - 1 ELSE $2 END";

pub(super) fn announcement(row: &AnyRow) -> Result<OutboxEvent, StoreError> {
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
pub(super) async fn sent(conn: &mut AnyConnection, now: i64, sent: Vec<Time>) -> Result<(), StoreError> {
    set_for(conn, sent, "sent_at", now).await
}

async fn set_for(
    conn: &mut AnyConnection,
    mut events: Vec<Time>,
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
pub(super) struct Put {
    now: i64,
    fresh: HashSet<String>,
}

impl Put {
    /// Those of them that came with a change; another of the same moment can have the same event.
    pub(super) fn take_for(&mut self, change: &Change) -> Vec<OutboxEvent> {
        let (now, due_at) = (self.now, due_at(self.now, change.turn));
        let fresh = change.events.iter().filter(|event| self.fresh.remove(&event.id));
        fresh.map(|event| OutboxEvent::of(event, now, due_at)).collect()
    }
}

fn due_at(now: i64, turn: Option<Duration>) -> i64 {
    turn.map_or(now, |turn| after(now, turn))
}

pub(super) fn after(now: i64, turn: Duration) -> i64 {
    now.saturating_add(i64::try_from(turn.as_millis()).unwrap_or(i64::MAX))
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

/// Stores events, each with the time for which it is somebody's to announce; one that is stored already stays as it is.
/// Where earlier events of its routing key wait for a queue, an event waits behind them.
pub(super) async fn put<'a>(
    conn: &mut AnyConnection,
    now: i64,
    mut events: Vec<(&'a Event, Option<Duration>)>,
) -> Result<Put, StoreError> {
    let mut put = Put { now, ..Put::default() };
    let row = |(event, turn): (&'a Event, Option<Duration>)| EventRow {
        event_id: &event.id,
        kind: event.kind,
        routing_key: &event.routing_key,
        subject: &event.subject,
        body: &event.body,
        due_at: due_at(now, turn),
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
    // Whoever releases the events of a key waits until this one is among them, or else is done before it is stored.
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
