//! Which events are still to be announced? Stored with the settlement, until the broker has confirmed them.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::sql::{self, Bound, Columns, Kind};
use super::{Store, StoreError};
use crate::batch::event::Event;

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The event's id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its routing key.
    pub routing_key: String,
    /// The JSON text.
    pub body: String,
    /// When it was stored, in milliseconds on the store's clock.
    pub created_at: i64,
}

impl Store {
    /// Events that are to be announced now, oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn unsent(&self, most: u32) -> Result<Vec<Announcement>, StoreError> {
        let mut conn = self.pool.acquire().await?;
        let sql = "SELECT event_id, kind, routing_key, body, created_at FROM outbox \
                   WHERE sent_at IS NULL AND due_at <= $1 ORDER BY due_at LIMIT $2";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Int(self.now()), Bound::Int(i64::from(most))]).await?;
        rows.iter()
            .map(|row| {
                Ok(Announcement {
                    id: row.text("event_id")?,
                    kind: row.text("kind")?,
                    routing_key: row.text("routing_key")?,
                    body: row.text("body")?,
                    created_at: row.int("created_at")?,
                })
            })
            .collect()
    }

    /// Marks events as confirmed by the broker.
    ///
    /// # Errors
    /// When the store does not answer; they are then announced again.
    pub async fn mark_sent(&self, ids: &[String]) -> Result<(), StoreError> {
        self.set_for(ids, "sent_at", self.now()).await
    }

    async fn set_for(&self, ids: &[String], column: &'static str, value: i64) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let rows: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        let ids = sql::rows(&[("id", Kind::Text)]);
        let sql = format!("UPDATE outbox SET {column} = $2 FROM {ids} WHERE outbox.event_id = r.id");
        let mut conn = self.pool.acquire().await?;
        sql::execute(&mut conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(value)]).await?;
        Ok(())
    }

    /// Has events announced again after a pause, as the broker did not take them.
    ///
    /// # Errors
    /// When the store does not answer; they are then announced again at once.
    pub async fn postpone(&self, ids: &[String], pause: Duration) -> Result<(), StoreError> {
        let due_at = self.now().saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        self.set_for(ids, "due_at", due_at).await
    }

    /// How many events the broker has not confirmed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn unsent_count(&self) -> Result<i64, StoreError> {
        let mut conn = self.pool.acquire().await?;
        let sql = "SELECT COUNT(*) AS n FROM outbox WHERE sent_at IS NULL";
        sql::fetch(&mut conn, sql, vec![]).await?.first().map_or(Ok(0), |row| row.int("n"))
    }

    /// Has one event announced once more, if it was announced before.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn announce_event_again(&self, id: &str) -> Result<(), StoreError> {
        let mut conn = self.pool.acquire().await?;
        let sql = "UPDATE outbox SET sent_at = NULL, due_at = $2 WHERE event_id = $1 AND sent_at IS NOT NULL";
        sql::execute(&mut conn, sql, vec![Bound::Text(id.into()), Bound::Int(self.now())]).await?;
        Ok(())
    }
}

/// Stores events; one that is stored already stays as it is.
pub(super) async fn put(conn: &mut AnyConnection, now: i64, events: Vec<&Event>) -> Result<(), StoreError> {
    let row = |event: &Event| {
        json!({"event_id": event.id, "kind": event.kind, "routing_key": event.routing_key,
               "subject": event.subject, "body": event.body})
    };
    let rows: Vec<Value> = events.into_iter().map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [
        ("event_id", Kind::Text),
        ("kind", Kind::Text),
        ("routing_key", Kind::Text),
        ("subject", Kind::Text),
        ("body", Kind::Text),
    ];
    let sql = format!(
        "INSERT INTO outbox (event_id, kind, routing_key, subject, body, created_at, due_at) \
         SELECT event_id, kind, routing_key, subject, body, $2, $2 FROM {} WHERE true ON CONFLICT (event_id) DO NOTHING",
        sql::rows(&columns)
    );
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
    Ok(())
}
