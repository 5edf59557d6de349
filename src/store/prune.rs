//! Removes the details of finished work after a while, and keeps only that it was done.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns, Dialect, Kind, Transaction};
use super::{Store, StoreError};

/// How much a step of pruning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneCounts {
    /// Batches of which only key, fingerprint, state and revision are left.
    pub batches: u64,
    /// Events that had been sent.
    pub events: u64,
    /// Events that no queue was bound for.
    pub unheard: u64,
}

/// Reconciliation accepts rows that are older than the unknown outcome by a margin for clocks; ids that other batches hold
/// are kept for as long as a reconciliation can come. In milliseconds.
const DOUBT_MARGIN_MS: i64 = 3_600_000;

/// Removes what is no longer needed.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Prunes up to `most` batches and `most` events that finished longer than `retention` ago, and counts them.
    ///
    /// What is left of a batch still identifies a duplicate. A batch stays whole while it has a row on the shelf, a case
    /// that may or may not be in Testmo, or a late-duplicate check to come. An event that waits for a queue stays until
    /// its routing key was probed once after its time: a worker or broker that was stopped for long removes nothing.
    ///
    /// # Errors
    /// When the store does not answer; nothing may be removed then, or all of it.
    async fn prune(&self, retention: Duration, most: u32) -> Result<PruneCounts, StoreError>;
}

#[async_trait]
impl RetentionStore for Store {
    async fn prune(&self, retention: Duration, most: u32) -> Result<PruneCounts, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let before = now.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let batches = prune_batches(conn, now, before, most).await?;
        let events = remove_sent(conn, before, most).await?;
        let unheard = remove_unheard(conn, now, now.saturating_sub(before), most).await?;
        transaction.commit().await?;
        Ok(PruneCounts { batches, events, unheard })
    }
}

/// Prunes batches that were settled before a time, in milliseconds on the store's clock, and returns how many.
async fn prune_batches(conn: &mut AnyConnection, now: i64, before: i64, most: u32) -> Result<u64, StoreError> {
    let dialect = Dialect::of(conn);
    let settled = format!(
        "SELECT tenant_id, batch_id FROM batches WHERE settled_at IS NOT NULL AND pruned_at IS NULL \
         AND settled_at < $1 AND state IN ('delivered', 'partial', 'failed', 'discarded', 'undone') AND open_push IS NULL \
         AND doubt_since IS NULL AND (late_since IS NULL OR state NOT IN ('delivered', 'partial')) \
         AND settled_at < COALESCE((SELECT MIN(doubt_since) FROM batches WHERE doubt_since IS NOT NULL) \
         - {DOUBT_MARGIN_MS}, $1) AND cases NOT LIKE '%\"s\":\"lost\"%' AND NOT EXISTS (SELECT 1 FROM shelf s \
         WHERE s.tenant_id = batches.tenant_id AND s.batch_id = batches.batch_id) \
         ORDER BY settled_at LIMIT $2 {}",
        dialect.skip_taken()
    );
    let bounds = vec![Bound::Int(before), Bound::Int(i64::from(most))];
    let batches = texts(&sql::fetch(conn, settled, bounds).await?, &["tenant_id", "batch_id"])?;
    if batches.is_empty() {
        return Ok(0);
    }
    let rows = dialect.rows(&[("tenant_id", Kind::Text), ("batch_id", Kind::Text)]);
    let sql = format!(
        "UPDATE batches SET cases = '[]', targets = '[]', epoch = epoch + 1, pruned_at = $2 FROM {rows} \
         WHERE batches.tenant_id = r.tenant_id AND batches.batch_id = r.batch_id"
    );
    sql::execute(conn, sql, vec![Bound::from(batches.as_slice()), Bound::Int(now)]).await?;
    let sql = format!(
        "DELETE FROM push_parts WHERE (tenant_id, batch_id) IN (SELECT r.tenant_id, r.batch_id FROM {rows}) \
         RETURNING push_id"
    );
    let parts = sql::fetch(conn, sql, vec![Bound::from(batches.as_slice())]).await?;
    // A push of several batches stays until the last of them is pruned.
    let sql = format!(
        "DELETE FROM pushes WHERE push_id IN (SELECT r.push_id FROM {}) \
         AND NOT EXISTS (SELECT 1 FROM push_parts p WHERE p.push_id = pushes.push_id)",
        dialect.rows(&[("push_id", Kind::Text)])
    );
    sql::execute(conn, sql, vec![Bound::from(texts(&parts, &["push_id"])?.as_slice())]).await?;
    Ok(batches.len() as u64)
}

/// Removes events that were created before a time and have been sent, and returns how many.
async fn remove_sent(conn: &mut AnyConnection, before: i64, most: u32) -> Result<u64, StoreError> {
    // A reminder that a key expires is sent once, which its row ensures; there are four for each key.
    let sql = format!(
        "DELETE FROM outbox WHERE (subject, event_id) IN (SELECT subject, event_id FROM outbox WHERE created_at < $1 \
         AND sent_at IS NOT NULL AND kind NOT LIKE '%.key.%' ORDER BY created_at LIMIT $2 {})",
        Dialect::of(conn).skip_taken()
    );
    sql::execute(conn, sql, vec![Bound::Int(before), Bound::Int(i64::from(most))]).await
}

/// Removes events that had waited for a queue for `retention_ms` when the broker last returned one of their routing key,
/// and returns how many.
async fn remove_unheard(conn: &mut AnyConnection, now: i64, retention_ms: i64, most: u32) -> Result<u64, StoreError> {
    let dialect = Dialect::of(conn);
    // Key by key, as of one that was not tried lately any number of events can be old.
    let unheard = match dialect {
        Dialect::Sqlite => {
            "SELECT o.subject AS subject, o.event_id AS event_id, o.kind AS kind FROM unbound_keys k CROSS JOIN outbox o \
             WHERE o.routing_key = k.routing_key AND o.sent_at IS NULL AND o.aside_at IS NOT NULL \
             AND o.aside_at < k.returned_at - $1 LIMIT $2"
        }
        Dialect::Postgres => {
            "SELECT o.subject, o.event_id, o.kind FROM unbound_keys k CROSS JOIN LATERAL (SELECT subject, event_id, kind \
             FROM outbox WHERE routing_key = k.routing_key AND sent_at IS NULL AND aside_at IS NOT NULL \
             AND aside_at < k.returned_at - $1 ORDER BY aside_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS o LIMIT $2"
        }
    };
    let unheard = sql::fetch(conn, unheard, vec![Bound::Int(retention_ms), Bound::Int(i64::from(most))]).await?;
    // A reminder that a key expires would be stored again if its row were removed: it stays, as if it were sent.
    let is_reminder = |row: &&AnyRow| row.text("kind").is_ok_and(|kind| kind.contains(".key."));
    let (reminders, others): (Vec<&AnyRow>, Vec<&AnyRow>) = unheard.iter().partition(is_reminder);
    let rows = dialect.rows(&[("subject", Kind::Text), ("event_id", Kind::Text)]);
    let removals = [
        (
            others,
            format!("DELETE FROM outbox WHERE (subject, event_id) IN (SELECT r.subject, r.event_id FROM {rows})"),
            None,
        ),
        (
            reminders,
            format!(
                "UPDATE outbox SET sent_at = $2 FROM {rows} WHERE outbox.subject = r.subject \
                 AND outbox.event_id = r.event_id"
            ),
            Some(Bound::Int(now)),
        ),
    ];
    for (removed, sql, at) in removals {
        if !removed.is_empty() {
            let names = texts(removed, &["subject", "event_id"])?;
            sql::execute(conn, sql, [Some(Bound::from(names.as_slice())), at].into_iter().flatten().collect()).await?;
        }
    }
    Ok(unheard.len() as u64)
}

/// Rows as they are bound again.
fn texts<'a>(rows: impl IntoIterator<Item = &'a AnyRow>, columns: &[&str]) -> Result<Vec<Value>, StoreError> {
    let value = |row: &AnyRow| {
        let mut object = json!({});
        for column in columns {
            object[*column] = row.text(column)?.into();
        }
        Ok(object)
    };
    rows.into_iter().map(value).collect()
}
