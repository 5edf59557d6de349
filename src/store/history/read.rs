//! Reads everything that is kept of a batch beside its record.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns};
use super::super::{Store, StoreError};
use super::entry::HistoryEntry;
use super::rows;
use crate::batch::BatchKey;

/// What is kept of a batch beside its record; older parts are pruned.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Its pushes, the first one first.
    pub pushes: Vec<PushRow>,
    /// The events about it, the first one first.
    pub events: Vec<EventRow>,
    /// Its waits, retries and reconciliations, in the order in which each first happened.
    pub entries: Vec<HistoryEntry>,
    /// How many older entries were dropped, because only the latest [`MOST_ENTRIES`](super::MOST_ENTRIES) are kept.
    pub dropped: u64,
    /// The workers that have an entry of it on the shelf in hand.
    pub holders: Vec<Holder>,
}

/// A worker that has an entry of the shelf in hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The worker.
    pub worker: String,
    /// Until when the entry is the worker's, in milliseconds on the store's clock.
    pub until: i64,
}

/// A push that had cases of a batch in it; times are milliseconds on the store's clock.
#[derive(Clone, Debug)]
pub struct PushRow {
    /// Its id.
    pub id: String,
    /// The account it went to.
    pub account: String,
    /// The project.
    pub project: u64,
    /// The folder.
    pub folder: u64,
    /// How many cases it sent, of all its batches.
    pub cases: u64,
    /// Of how many batches they are.
    pub batches: u64,
    /// Who sent it.
    pub holder: String,
    /// When it was claimed.
    pub claimed_at: i64,
    /// When its end was recorded; never, where its worker stopped.
    pub ended_at: Option<i64>,
    /// The class of its answer, followed by `adopted` where its cases were found later.
    pub answer: Option<String>,
    /// What the answer said, if it was no success.
    pub detail: Option<String>,
    /// The lowest and highest id that came of it.
    pub ids: Option<(u64, u64)>,
}

/// An event about a batch; times are milliseconds on the store's clock.
#[derive(Clone, Debug)]
pub struct EventRow {
    /// Its id.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// The JSON text.
    pub body: String,
    /// When it was stored.
    pub created_at: i64,
    /// When the broker last confirmed it; `None` while it is due or waits for a queue.
    pub sent_at: Option<i64>,
}

impl Store {
    /// Returns what is kept of a batch beside its record.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn history(&self, key: &BatchKey) -> Result<History, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let names = || vec![Bound::Text(key.tenant.as_str().into()), Bound::Text(key.batch.as_str().into())];
        let sql = "SELECT p.*, (SELECT COUNT(*) FROM push_parts other WHERE other.push_id = p.push_id) AS members \
                   FROM push_parts pp JOIN pushes p ON p.push_id = pp.push_id \
                   WHERE pp.tenant_id = $1 AND pp.batch_id = $2 ORDER BY p.claimed_at, p.push_id";
        let pushes = sql::fetch(&mut conn, sql, names()).await?;
        let sql = "SELECT event_id, kind, body, created_at, sent_at FROM outbox WHERE subject = $1 \
                   ORDER BY created_at, event_id";
        let events = sql::fetch(&mut conn, sql, vec![Bound::Text(key.to_string())]).await?;
        let entries = sql::fetch(&mut conn, rows::ENTRIES, names()).await?;
        let first = entries.first().map(|row| row.whole::<u64>("place")).transpose()?;
        let mut bounds = names();
        bounds.push(Bound::Int(now));
        let sql = "SELECT holder, lease_until FROM shelf WHERE tenant_id = $1 AND batch_id = $2 AND lease_until > $3 \
                   ORDER BY id";
        let held = sql::fetch(&mut conn, sql, bounds).await?;
        Ok(History {
            pushes: pushes.iter().map(push).collect::<Result<_, _>>()?,
            events: events.iter().map(event).collect::<Result<_, _>>()?,
            entries: self.unreadable.skip(entries.iter().map(rows::entry))?,
            dropped: first.map_or(0, |place| place.saturating_sub(1)),
            holders: held.iter().map(holder).collect::<Result<_, _>>()?,
        })
    }
}

fn push(row: &AnyRow) -> Result<PushRow, StoreError> {
    let ids = match (row.maybe_int("first_id")?, row.maybe_int("last_id")?) {
        (Some(_), Some(_)) => Some((row.whole("first_id")?, row.whole("last_id")?)),
        (None, _) | (_, None) => None,
    };
    Ok(PushRow {
        id: row.text("push_id")?,
        account: row.text("account")?,
        project: row.whole("project_id")?,
        folder: row.whole("folder_id")?,
        cases: row.whole("cases")?,
        batches: row.whole("members")?,
        holder: row.text("holder")?,
        claimed_at: row.int("claimed_at")?,
        ended_at: row.maybe_int("ended_at")?,
        answer: row.maybe_text("answer")?,
        detail: row.maybe_text("detail")?,
        ids,
    })
}

fn holder(row: &AnyRow) -> Result<Holder, StoreError> {
    Ok(Holder { worker: row.maybe_text("holder")?.unwrap_or_default(), until: row.int("lease_until")? })
}

fn event(row: &AnyRow) -> Result<EventRow, StoreError> {
    Ok(EventRow {
        id: row.text("event_id")?,
        kind: row.text("kind")?,
        body: row.text("body")?,
        created_at: row.int("created_at")?,
        sent_at: row.maybe_int("sent_at")?,
    })
}
