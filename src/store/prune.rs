//! Removes the details of finished work after a while, and keeps only that it was done.

mod round;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use tokio::time::Instant;

pub use self::round::{HeldBack, PruneRound};
use super::sql::{self, Bound, Columns, Dialect, Kind, Transaction};
use super::{Store, StoreError, batch_details, discarded, history};
use crate::batch::ledger::{OpenPush, Target};

/// How much a step of pruning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneCounts {
    /// Batches of which only key, fingerprint, state and revision are left.
    pub batches: u64,
    /// Events that had been sent.
    pub events: u64,
    /// Events that no queue was bound for.
    pub unheard: u64,
    /// Entries of the shelf that a person had discarded.
    pub discarded: u64,
}

/// Removes what is no longer needed.
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Begins a round that prunes what finished longer than `retention` ago.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn begin_pruning(&self, retention: Duration) -> Result<PruneRound, StoreError>;

    /// Examines the next `most` batches and `most` events of a round, prunes those that are no longer needed, and counts
    /// them. What stays is not examined again in the same round.
    ///
    /// What is left of a batch still identifies a duplicate. A batch stays whole while it has a row on the shelf or a discarded one, a case
    /// that may or may not be in Testmo, or a late-duplicate check to come, and while an older batch of the same account
    /// has an unknown outcome. An event that waits for a queue stays until its routing key was probed once after its
    /// time: a worker or broker that was stopped for long removes nothing.
    ///
    /// # Errors
    /// When the store does not answer; nothing may be removed then, or all of the step. The round may go on.
    async fn prune_step(&self, round: &mut PruneRound, most: u32) -> Result<PruneCounts, StoreError>;

    /// Removes up to `most` entries of the audit that are older than `keep`, and returns how many.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn forget_audit(&self, keep: Duration, most: u32) -> Result<u64, StoreError>;

    /// Prunes the first step of a round.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn prune(&self, retention: Duration, most: u32) -> Result<PruneCounts, StoreError> {
        let mut round = self.begin_pruning(retention).await?;
        self.prune_step(&mut round, most).await
    }
}

/// How many batches of unknown outcome are read at once.
const PAGE: i64 = 500;

#[async_trait]
impl RetentionStore for Store {
    async fn begin_pruning(&self, retention: Duration) -> Result<PruneRound, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let mut round = PruneRound::new(now, retention);
        let latest = HeldBack::latest(round.before);
        let (mut since, mut tenant, mut batch) = (i64::MIN, String::new(), String::new());
        loop {
            let bounds = vec![
                Bound::Int(latest),
                Bound::Int(since),
                Bound::Text(tenant.clone()),
                Bound::Text(batch.clone()),
                Bound::Int(PAGE),
            ];
            let rows = sql::fetch(&mut conn, UNCLEAR, bounds).await?;
            for row in &rows {
                (since, tenant, batch) = (row.int("doubt_since")?, row.text("tenant_id")?, row.text("batch_id")?);
                let open: Option<OpenPush> =
                    row.maybe_text("open_push")?.and_then(|text| serde_json::from_str(&text).ok());
                let targets = targets(row);
                round.held_back.add(since, targets.as_deref(), open.as_ref(), round.before, round.retention_ms);
            }
            if rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                return Ok(round);
            }
        }
    }

    async fn prune_step(&self, round: &mut PruneRound, most: u32) -> Result<PruneCounts, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let began = Instant::now();
        let now = transaction.now;
        let conn = transaction.conn()?;
        let (mut next, mut counts) = (round.clone(), PruneCounts::default());
        // A batch stays whole until its discarded entries are removed.
        if !round.no_discarded_left {
            counts.discarded = discarded::remove_old(conn, round.before, most).await?;
            next.no_discarded_left = counts.discarded < u64::from(most);
        }
        if !round.no_batches_left {
            counts.batches = prune_batches(conn, now, &mut next, most).await?;
        }
        if !round.no_events_left {
            counts.events = remove_sent(conn, &mut next, most).await?;
        }
        if !round.no_unroutable_left {
            counts.unheard = remove_unheard(conn, now, round.retention_ms, most).await?;
            next.no_unroutable_left = counts.unheard < u64::from(most);
        }
        if !round.no_entries_left {
            history::prune_history(conn, &mut next, most).await?;
        }
        transaction.commit().await?;
        *round = PruneRound { took: began.elapsed(), ..next };
        Ok(counts)
    }

    async fn forget_audit(&self, keep: Duration, most: u32) -> Result<u64, StoreError> {
        self.forget_old_audit(keep, most).await
    }
}

/// Reads the next batches of unknown outcome since before `$1`, after the one at `$2` to `$4`.
pub(super) const UNCLEAR: &str = "SELECT tenant_id, batch_id, doubt_since, targets, open_push FROM batches \
    WHERE doubt_since IS NOT NULL AND doubt_since < $1 AND doubt_since >= $2 \
    AND (doubt_since > $2 OR (tenant_id, batch_id) > ($3, $4)) ORDER BY doubt_since, tenant_id, batch_id LIMIT $5";

/// Returns the statement that examines up to `$2` batches which finished before `$1`, after the one at `$3` to `$5`.
pub(super) fn examine_batches(dialect: Dialect) -> String {
    format!("{} {}", unpruned_batches(), dialect.skip_taken())
}

/// Returns the same statement without the words that have it take the batches.
pub(super) fn unpruned_batches() -> &'static str {
    "SELECT tenant_id, batch_id, settled_at, targets, CASE WHEN open_push IS NULL AND doubt_since IS NULL \
     AND state IN ('delivered', 'partial', 'failed', 'discarded', 'undone') \
     AND (late_since IS NULL OR state NOT IN ('delivered', 'partial')) AND cases NOT LIKE '%\"s\":\"lost\"%' \
     AND NOT EXISTS (SELECT 1 FROM shelf s WHERE s.tenant_id = batches.tenant_id AND s.batch_id = batches.batch_id) \
     AND NOT EXISTS (SELECT 1 FROM discarded d WHERE d.tenant_id = batches.tenant_id AND d.batch_id = batches.batch_id) \
     THEN 1 ELSE 0 END AS is_over FROM batches WHERE settled_at IS NOT NULL AND pruned_at IS NULL \
     AND settled_at < $1 AND settled_at >= $3 AND (settled_at > $3 OR (tenant_id, batch_id) > ($4, $5)) \
     ORDER BY settled_at, tenant_id, batch_id LIMIT $2"
}

/// Returns the statement that examines up to `$2` events which were stored before `$1`, after the one at `$3` to `$5`. A
/// reminder that a key expires is published once, which its row ensures; there are four for each key.
pub(super) fn examine_events(dialect: Dialect) -> String {
    format!(
        "SELECT subject, event_id, created_at, CASE WHEN sent_at IS NOT NULL AND kind NOT LIKE '%.key.%' THEN 1 ELSE 0 END \
         AS is_over FROM outbox WHERE created_at < $1 AND created_at >= $3 \
         AND (created_at > $3 OR (subject, event_id) > ($4, $5)) ORDER BY created_at, subject, event_id LIMIT $2 {}",
        dialect.skip_taken()
    )
}

/// Returns the parameters of a statement that examines rows.
fn examined(before: i64, last: Option<&(i64, String, String)>, most: u32) -> Vec<Bound> {
    let (at, first, second) = last.map_or((i64::MIN, "", ""), |(at, first, second)| (*at, first, second));
    let place = [Bound::Int(at), Bound::Text(first.into()), Bound::Text(second.into())];
    [Bound::Int(before), Bound::Int(i64::from(most))].into_iter().chain(place).collect()
}

fn targets(row: &AnyRow) -> Option<Vec<Target>> {
    row.json("targets").ok()
}

/// Prunes the next batches of a round, and returns how many.
async fn prune_batches(
    conn: &mut AnyConnection,
    now: i64,
    round: &mut PruneRound,
    most: u32,
) -> Result<u64, StoreError> {
    let dialect = Dialect::of(conn);
    let bounds = examined(round.before, round.last_batch.as_ref(), most);
    let rows = sql::fetch(conn, examine_batches(dialect), bounds).await?;
    round.no_batches_left = rows.len() < usize::try_from(most).unwrap_or(usize::MAX);
    let mut over = Vec::new();
    for row in &rows {
        let settled_at = row.int("settled_at")?;
        // A batch whose targets cannot be read stays.
        let is_free = targets(row).is_some_and(|targets| !round.held_back.holds(settled_at, &targets));
        if row.int("is_over")? != 0 && is_free {
            over.push(row);
        }
        round.last_batch = Some((settled_at, row.text("tenant_id")?, row.text("batch_id")?));
    }
    let batches = texts(over, &["tenant_id", "batch_id"])?;
    if batches.is_empty() {
        return Ok(0);
    }
    let rows = dialect.rows(&[("tenant_id", Kind::Text), ("batch_id", Kind::Text)]);
    let sql = format!(
        "UPDATE batches SET cases = '[]', targets = '[]', dropped = NULL, epoch = epoch + 1, pruned_at = $2 FROM {rows} \
         WHERE batches.tenant_id = r.tenant_id AND batches.batch_id = r.batch_id"
    );
    sql::execute(conn, sql, vec![Bound::from(batches.as_slice()), Bound::Int(now)]).await?;
    batch_details::remove_with_batches(conn, &batches).await?;
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

/// Removes the published ones among the next events of a round, and returns how many.
async fn remove_sent(conn: &mut AnyConnection, round: &mut PruneRound, most: u32) -> Result<u64, StoreError> {
    let dialect = Dialect::of(conn);
    let bounds = examined(round.before, round.last_event.as_ref(), most);
    let rows = sql::fetch(conn, examine_events(dialect), bounds).await?;
    round.no_events_left = rows.len() < usize::try_from(most).unwrap_or(usize::MAX);
    let mut over = Vec::new();
    for row in &rows {
        if row.int("is_over")? != 0 {
            over.push(row);
        }
        round.last_event = Some((row.int("created_at")?, row.text("subject")?, row.text("event_id")?));
    }
    if over.is_empty() {
        return Ok(0);
    }
    let rows = dialect.rows(&[("subject", Kind::Text), ("event_id", Kind::Text)]);
    let sql = format!("DELETE FROM outbox WHERE (subject, event_id) IN (SELECT r.subject, r.event_id FROM {rows})");
    sql::execute(conn, sql, vec![Bound::from(texts(over, &["subject", "event_id"])?.as_slice())]).await
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
