//! Keeps events, stored with the change that caused them, until the broker has confirmed them.

mod model;
mod rows;

use std::time::Duration;

use async_trait::async_trait;

use self::rows::{DUE_AGAIN, set_for};
use super::sql::{self, Bound, Columns, Dialect};
use super::{Store, StoreError, StoreHealth};

pub use self::model::OutboxEvent;
pub(super) use self::model::PublishAttempt;
pub(super) use self::rows::{after, event_in_row, put, sent};

/// The most events that are counted, so that counting costs the same however many wait.
pub const MOST_COUNTED: i64 = 10_000;

/// How events are taken, confirmed and postponed.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Takes up to `most` events that are due to be published, oldest first; without those that wait for a queue.
    ///
    /// Where several workers share the store, each event is given to one of them for `taken_for` and is due again after
    /// that.
    ///
    /// # Errors
    /// When the store does not answer; events that were taken are due again after `taken_for`.
    async fn unsent(&self, most: u32, taken_for: Duration) -> Result<Vec<OutboxEvent>, StoreError>;

    /// Marks events as confirmed by the broker, unless they were made due again since they were taken.
    ///
    /// # Errors
    /// When the store does not answer; the events are then published again.
    async fn mark_sent(&self, sent: &[OutboxEvent]) -> Result<(), StoreError>;

    /// Makes events that the broker did not take due again after a pause.
    ///
    /// # Errors
    /// When the store does not answer; the events are then due again after the time for which they were taken.
    async fn postpone(&self, events: &[OutboxEvent], pause: Duration) -> Result<(), StoreError>;

    /// Counts the events that the broker has not confirmed, without those that wait for a queue; at most
    /// [`MOST_COUNTED`].
    ///
    /// # Errors
    /// When the store does not answer.
    async fn due_count(&self) -> Result<i64, StoreError>;

    /// Makes one event due again, even while it is being published. An event that waits for a queue goes on waiting.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn resend_event(&self, subject: &str, id: &str) -> Result<(), StoreError>;
}

#[async_trait]
impl OutboxStore for Store {
    async fn unsent(&self, most: u32, taken_for: Duration) -> Result<Vec<OutboxEvent>, StoreError> {
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
            // Only one worker publishes, so nothing has to be reserved.
            due.to_owned()
        };
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        let mut unsent: Vec<OutboxEvent> = rows.iter().map(event_in_row).collect::<Result<_, _>>()?;
        unsent.sort_by_key(|event| event.created_at);
        Ok(unsent)
    }

    async fn mark_sent(&self, sent: &[OutboxEvent]) -> Result<(), StoreError> {
        if sent.is_empty() { Ok(()) } else { self.group.sent(sent.iter().map(PublishAttempt::of).collect()).await }
    }

    async fn postpone(&self, events: &[OutboxEvent], pause: Duration) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let due_at = after(self.now(), pause);
        set_for(&mut *self.writing().await?, events.iter().map(PublishAttempt::of).collect(), "due_at", due_at).await
    }

    async fn due_count(&self) -> Result<i64, StoreError> {
        let mut conn = self.reading().await?;
        let sql = format!(
            "SELECT COUNT(*) AS n FROM (SELECT 1 FROM outbox WHERE sent_at IS NULL AND aside_at IS NULL \
             LIMIT {MOST_COUNTED}) AS counted"
        );
        sql::fetch(&mut conn, sql, vec![]).await?.first().map_or(Ok(0), |row| row.int("n"))
    }

    async fn resend_event(&self, subject: &str, id: &str) -> Result<(), StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let sql = format!("UPDATE outbox SET {DUE_AGAIN} WHERE subject = $1 AND event_id = $3");
        let bounds = vec![Bound::Text(subject.into()), Bound::Int(now), Bound::Text(id.into())];
        sql::execute(&mut conn, sql, bounds).await?;
        Ok(())
    }
}
