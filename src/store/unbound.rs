//! Keeps events that no queue is bound for apart from all others, by routing key, until one of a key is routed.
//!
//! Invariant: an event waits only while its routing key is in `unbound_keys`, so that no event is forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::outbox::{MOST_COUNTED, OutboxEvent, OutboxStore, PublishAttempt, after, event_in_row};
use super::sql::{self, Bound, Columns, Dialect, Kind, Transaction};
use super::{Store, StoreError};

/// The pause before the first probe of a routing key, in milliseconds; each further pause is twice as long.
const FIRST_PAUSE_MS: i64 = 5_000;
/// The longest pause between two probes of a routing key, in milliseconds.
const LONGEST_PAUSE_MS: i64 = 60_000;
/// The time within which all replicas together take no more probes than one may, in milliseconds.
const WINDOW_MS: i64 = 1_000;
/// The name of the advisory lock under which replicas take probes.
const PROBES: i64 = 0x7075_6202;

/// A routing key that is to be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The key.
    pub routing_key: String,
    /// The event to try it with: the first one that waits; none where nothing waits any more.
    pub event: Option<OutboxEvent>,
}

/// Events that do not wait for a queue any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Events of one routing key, in the order of their creation; the caller publishes them.
    pub events: Vec<OutboxEvent>,
    /// Whether no more events of the key wait.
    pub is_last: bool,
}

/// How much waits for a queue; each at most [`MOST_COUNTED`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnboundCounts {
    /// Events that wait.
    pub events: i64,
    /// Those of them that have waited for a given time.
    pub old_events: i64,
    /// Routing keys that no queue has been bound for during a given time.
    pub old_keys: i64,
}

/// How events wait for a queue and are released.
#[async_trait]
pub trait UnboundStore: Send + Sync {
    /// Makes events wait for a queue: those that the broker has returned, and those that are behind such events.
    ///
    /// # Errors
    /// When the store does not answer; the events are then published again.
    async fn set_aside(&self, returned: &[OutboxEvent], behind: &[OutboxEvent]) -> Result<(), StoreError>;

    /// Takes routing keys that are due to be probed, those that have been due longest first: at most `most`, and by all
    /// workers together at most as many in a second. No other caller gets a key for `lease`.
    ///
    /// # Errors
    /// When the store does not answer; keys that were taken are probed later.
    async fn take_probes(&self, most: u32, lease: Duration) -> Result<Vec<Probe>, StoreError>;

    /// Releases up to `most` of the first events of a routing key, because one of them was routed.
    ///
    /// Where several workers share the store, the events belong to the caller for `taken_for`, and the key a little
    /// longer; the other events wait meanwhile.
    ///
    /// # Errors
    /// When the store does not answer; the key is then probed again.
    async fn release_waiting(&self, key: &str, most: u32, taken_for: Duration) -> Result<Released, StoreError>;

    /// Counts what waits for a queue: events, those that have waited for `old_events`, and routing keys that no queue has
    /// been bound for during `old_keys`.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn unbound_counts(&self, old_events: Duration, old_keys: Duration) -> Result<UnboundCounts, StoreError>;
}

#[async_trait]
impl UnboundStore for Store {
    async fn set_aside(&self, returned: &[OutboxEvent], behind: &[OutboxEvent]) -> Result<(), StoreError> {
        if returned.is_empty() && behind.is_empty() {
            return Ok(());
        }
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let dialect = Dialect::of(conn);
        let mut keys = BTreeMap::new();
        for (event, returned_at) in
            behind.iter().map(|event| (event, 0)).chain(returned.iter().map(|event| (event, now)))
        {
            keys.insert(event.routing_key.as_str(), returned_at);
        }
        let row = |(key, at): (&str, i64)| json!({"routing_key": key, "returned_at": at});
        let rows: Vec<Value> = keys.into_iter().map(row).collect();
        // Even where nothing changes, the row is kept until the events are among those that wait for it.
        let sql = format!(
            "INSERT INTO unbound_keys (routing_key, unbound_since, returned_at, pause, probe_at, probed_at) \
             SELECT routing_key, $2, returned_at, $3, $2 + $3, 0 FROM {} WHERE true \
             ON CONFLICT (routing_key) DO UPDATE SET \
             returned_at = CASE WHEN excluded.returned_at > 0 THEN excluded.returned_at ELSE unbound_keys.returned_at END, \
             probe_at = CASE WHEN excluded.returned_at > 0 THEN $2 + unbound_keys.pause ELSE unbound_keys.probe_at END",
            dialect.rows(&[("routing_key", Kind::Text), ("returned_at", Kind::Int)])
        );
        let bounds = vec![Bound::from(rows.as_slice()), Bound::Int(now), Bound::Int(FIRST_PAUSE_MS)];
        sql::execute(conn, sql, bounds).await?;
        let mut events: Vec<PublishAttempt> = returned.iter().chain(behind).map(PublishAttempt::of).collect();
        events.sort();
        let sql = format!(
            "UPDATE outbox SET aside_at = $2 FROM {} WHERE outbox.subject = r.subject AND outbox.event_id = r.id \
             AND outbox.due_at = r.due AND outbox.sent_at IS NULL AND outbox.aside_at IS NULL",
            dialect.rows(&[("subject", Kind::Text), ("id", Kind::Text), ("due", Kind::Int)])
        );
        sql::execute(conn, sql, vec![Bound::from(events.as_slice()), Bound::Int(now)]).await?;
        transaction.commit().await
    }

    async fn take_probes(&self, most: u32, lease: Duration) -> Result<Vec<Probe>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let due = "SELECT routing_key FROM unbound_keys WHERE probe_at <= $1 LIMIT 1";
        if sql::fetch(&mut conn, due, vec![Bound::Int(now)]).await?.is_empty() {
            return Ok(Vec::new());
        }
        drop(conn);
        let keys = self.take_keys(most, lease).await?;
        let mut conn = self.reading().await?;
        let mut probes = Vec::with_capacity(keys.len());
        for routing_key in keys {
            let first = "SELECT subject AS due_subject, event_id AS due_id, kind, routing_key, body, created_at, due_at, \
                         CAST(0 AS BIGINT) AS unbound FROM outbox WHERE routing_key = $1 AND sent_at IS NULL \
                         AND aside_at IS NOT NULL ORDER BY created_at LIMIT 1";
            let rows = sql::fetch(&mut conn, first, vec![Bound::Text(routing_key.clone())]).await?;
            probes.push(Probe { routing_key, event: rows.first().map(event_in_row).transpose()? });
        }
        Ok(probes)
    }

    async fn release_waiting(&self, key: &str, most: u32, taken_for: Duration) -> Result<Released, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let dialect = Dialect::of(conn);
        // Waits for transactions that are storing an event of the key, and keeps others from starting to.
        let sql = format!("SELECT routing_key FROM unbound_keys WHERE routing_key = $1 {}", dialect.remove());
        if sql::fetch(conn, sql, vec![Bound::Text(key.into())]).await?.is_empty() {
            transaction.roll_back().await?;
            return Ok(Released { events: Vec::new(), is_last: true });
        }
        // Only one worker publishes what is in a file, so nothing has to be reserved.
        let due_at = if dialect.is_shared() { after(now, taken_for) } else { now };
        let sql = format!(
            "WITH first AS MATERIALIZED (SELECT subject AS first_subject, event_id AS first_id FROM outbox \
             WHERE routing_key = $1 AND sent_at IS NULL AND aside_at IS NOT NULL ORDER BY created_at LIMIT $2 {}) \
             UPDATE outbox SET aside_at = NULL, due_at = $3 FROM first WHERE subject = first_subject \
             AND event_id = first_id RETURNING subject AS due_subject, event_id AS due_id, kind, routing_key, body, \
             created_at, due_at, CAST(0 AS BIGINT) AS unbound",
            dialect.keep()
        );
        let bounds = vec![Bound::Text(key.into()), Bound::Int(i64::from(most)), Bound::Int(due_at)];
        let rows = sql::fetch(conn, sql, bounds).await?;
        let mut events: Vec<OutboxEvent> = rows.iter().map(event_in_row).collect::<Result<_, _>>()?;
        events.sort_by_key(|event| event.created_at);
        let is_last = events.len() < usize::try_from(most).unwrap_or(usize::MAX);
        if is_last {
            sql::execute(conn, "DELETE FROM unbound_keys WHERE routing_key = $1", vec![Bound::Text(key.into())])
                .await?;
        } else {
            let sql =
                "UPDATE unbound_keys SET unbound_since = $2, returned_at = 0, probe_at = $3 WHERE routing_key = $1";
            let probe_at = after(now, taken_for).saturating_add(LONGEST_PAUSE_MS);
            let bounds = vec![Bound::Text(key.into()), Bound::Int(now), Bound::Int(probe_at)];
            sql::execute(conn, sql, bounds).await?;
        }
        transaction.commit().await?;
        Ok(Released { events, is_last })
    }

    async fn unbound_counts(&self, old_events: Duration, old_keys: Duration) -> Result<UnboundCounts, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let waiting = "SELECT 1 FROM outbox WHERE sent_at IS NULL AND aside_at IS NOT NULL";
        let sql = format!(
            "SELECT (SELECT COUNT(*) FROM ({waiting} LIMIT {MOST_COUNTED}) AS aside) AS events, \
             (SELECT COUNT(*) FROM ({waiting} AND aside_at <= $1 LIMIT {MOST_COUNTED}) AS long_aside) AS old_events, \
             (SELECT COUNT(*) FROM (SELECT 1 FROM unbound_keys WHERE unbound_since <= $2 LIMIT {MOST_COUNTED}) AS keys) \
             AS old_keys"
        );
        let bounds = vec![Bound::Int(before(now, old_events)), Bound::Int(before(now, old_keys))];
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        let row = rows.first().ok_or_else(|| StoreError::malformed("events"))?;
        Ok(UnboundCounts {
            events: row.int("events")?,
            old_events: row.int("old_events")?,
            old_keys: row.int("old_keys")?,
        })
    }
}

impl Store {
    async fn take_keys(&self, most: u32, lease: Duration) -> Result<Vec<String>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        sql::take_turns(conn, PROBES).await?;
        let sql = "SELECT COUNT(*) AS n FROM (SELECT 1 FROM unbound_keys WHERE probed_at > $1 LIMIT $2) AS counted";
        let bounds = vec![Bound::Int(now - WINDOW_MS), Bound::Int(i64::from(most))];
        let taken = sql::fetch(conn, sql, bounds).await?.first().map_or(Ok(0), |row| row.int("n"))?;
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT routing_key AS due_key FROM unbound_keys WHERE probe_at <= $1 \
             ORDER BY probe_at LIMIT $2 {}) UPDATE unbound_keys SET probed_at = $1, probe_at = $3, \
             pause = CASE WHEN pause * 2 > $4 THEN $4 ELSE pause * 2 END FROM due WHERE routing_key = due_key \
             RETURNING routing_key",
            Dialect::of(conn).skip_taken()
        );
        let bounds = vec![
            Bound::Int(now),
            Bound::Int(i64::from(most) - taken),
            Bound::Int(after(now, lease)),
            Bound::Int(LONGEST_PAUSE_MS),
        ];
        let keys = sql::fetch(conn, sql, bounds).await?.iter().map(|row| row.text("routing_key")).collect();
        transaction.commit().await?;
        keys
    }

    /// Counts the events that the broker has not confirmed, including those that wait for a queue; of each at most
    /// [`MOST_COUNTED`].
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn unsent_count(&self) -> Result<i64, StoreError> {
        Ok(self.due_count().await? + self.unbound_counts(Duration::ZERO, Duration::ZERO).await?.events)
    }
}

fn before(now: i64, time: Duration) -> i64 {
    now.saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}
