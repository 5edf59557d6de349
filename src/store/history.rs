//! Returns the pushes of one batch and the events about it.

use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns};
use super::{Store, StoreError};
use crate::batch::BatchKey;

/// What is kept of a batch beside its record; older parts are pruned.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Its pushes, the first one first.
    pub pushes: Vec<PushRow>,
    /// The events about it, the first one first.
    pub events: Vec<EventRow>,
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
    /// The pushes and events of a batch, as far as they are kept.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn history(&self, key: &BatchKey) -> Result<History, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT p.*, (SELECT COUNT(*) FROM push_parts other WHERE other.push_id = p.push_id) AS members \
                   FROM push_parts pp JOIN pushes p ON p.push_id = pp.push_id \
                   WHERE pp.tenant_id = $1 AND pp.batch_id = $2 ORDER BY p.claimed_at, p.push_id";
        let names = vec![Bound::Text(key.tenant.as_str().into()), Bound::Text(key.batch.as_str().into())];
        let pushes = sql::fetch(&mut conn, sql, names).await?;
        let sql = "SELECT event_id, kind, body, created_at, sent_at FROM outbox WHERE subject = $1 \
                   ORDER BY created_at, event_id";
        let events = sql::fetch(&mut conn, sql, vec![Bound::Text(key.to_string())]).await?;
        Ok(History {
            pushes: pushes.iter().map(push).collect::<Result<_, _>>()?,
            events: events.iter().map(event).collect::<Result<_, _>>()?,
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
        ids,
    })
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
