//! Keeps how far the search is filled, and which worker fills it.
//!
//! Invariant: the search is changed only together with the epoch of the progress that the change started from.

use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns};
use super::super::{Store, StoreError};
use super::model::milliseconds;

/// How long a worker that filled last goes on alone.
const LEASE: Duration = Duration::from_secs(30);

/// The place of an event in the order of the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EventPlace {
    pub(super) at: i64,
    pub(super) subject: String,
    pub(super) event: String,
}

/// How far the search is filled.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) epoch: i64,
    holder: Option<String>,
    lease_until: i64,
    /// The lowest number that a row has.
    pub(super) first_seq: i64,
    /// The number of the next newer row.
    pub(super) next_seq: i64,
    /// The last event that was read forwards.
    pub(super) later: EventPlace,
    /// The last event that was read backwards; `None` once none is left.
    pub(super) earlier: Option<EventPlace>,
}

/// What is stored and cannot be found by its values yet; times are milliseconds on the store's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsearched {
    /// When the first of the batches finished that are still to be made searchable.
    pub since: Option<i64>,
    /// Before which time finished batches of an earlier version are still to be made searchable.
    pub before: Option<i64>,
    /// Whether entries of the shelf are.
    pub shelf: bool,
}

pub(in crate::store) const PROGRESS: &str = "SELECT * FROM search_progress WHERE id = 1";

pub(in crate::store) const FIRST_UNSEARCHED: &str = "SELECT created_at FROM outbox WHERE created_at >= $1 \
    AND (created_at > $1 OR (subject, event_id) > ($2, $3)) AND kind LIKE '%.batch.%' ORDER BY created_at LIMIT 1";

pub(in crate::store) const UNSEARCHED_ENTRY: &str = "SELECT id FROM shelf WHERE searched IS NULL ORDER BY id LIMIT 1";

const MOVED: &str = "UPDATE search_progress SET epoch = epoch + 1, holder = $2, lease_until = $3, first_seq = $4, \
    next_seq = $5, later_at = $6, later_subject = $7, later_event = $8, earlier_at = $9, earlier_subject = $10, \
    earlier_event = $11 WHERE id = 1 AND epoch = $1";

impl Progress {
    pub(super) async fn read(conn: &mut AnyConnection) -> Result<Self, StoreError> {
        let rows = sql::fetch(conn, PROGRESS, vec![]).await?;
        let row = rows.first().ok_or_else(|| StoreError::malformed("search_progress"))?;
        Ok(Self {
            epoch: row.int("epoch")?,
            holder: row.maybe_text("holder")?,
            lease_until: row.int("lease_until")?,
            first_seq: row.int("first_seq")?,
            next_seq: row.int("next_seq")?,
            later: place(row, "later")?.unwrap_or_default(),
            earlier: place(row, "earlier")?,
        })
    }

    /// Returns whether another worker is filling the search.
    pub(super) fn is_of_another(&self, holder: &str, now: i64) -> bool {
        self.lease_until > now && self.holder.as_deref() != Some(holder)
    }

    /// Stores the progress within a change, and returns whether nobody else has changed the search since it was read.
    pub(super) async fn store(&self, conn: &mut AnyConnection, holder: &str, now: i64) -> Result<bool, StoreError> {
        let earlier = self.earlier.clone();
        let (earlier_at, earlier) = (earlier.as_ref().map(|place| place.at), earlier.unwrap_or_default());
        let bounds = vec![
            Bound::Int(self.epoch),
            Bound::Text(holder.to_owned()),
            Bound::Int(now.saturating_add(milliseconds(LEASE))),
            Bound::Int(self.first_seq),
            Bound::Int(self.next_seq),
            Bound::Int(self.later.at),
            Bound::Text(self.later.subject.clone()),
            Bound::Text(self.later.event.clone()),
            Bound::MaybeInt(earlier_at),
            Bound::Text(earlier.subject),
            Bound::Text(earlier.event),
        ];
        Ok(sql::execute(conn, MOVED, bounds).await? > 0)
    }
}

fn place(row: &AnyRow, which: &str) -> Result<Option<EventPlace>, StoreError> {
    let Some(at) = row.maybe_int(&format!("{which}_at"))? else { return Ok(None) };
    let (subject, event) = (row.text(&format!("{which}_subject"))?, row.text(&format!("{which}_event"))?);
    Ok(Some(EventPlace { at, subject, event }))
}

impl Store {
    /// Returns what cannot be found by its values yet.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn unsearched(&self) -> Result<Unsearched, StoreError> {
        let mut conn = self.reading().await?;
        let progress = Progress::read(&mut conn).await?;
        let EventPlace { at, subject, event } = progress.later;
        let bounds = vec![Bound::Int(at), Bound::Text(subject), Bound::Text(event)];
        let later = sql::fetch(&mut conn, FIRST_UNSEARCHED, bounds).await?;
        let entries = sql::fetch(&mut conn, UNSEARCHED_ENTRY, vec![]).await?;
        Ok(Unsearched {
            since: later.first().map(|row| row.int("created_at")).transpose()?,
            before: progress.earlier.map(|place| place.at),
            shelf: !entries.is_empty(),
        })
    }
}
