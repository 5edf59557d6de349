//! Reads the events and the entries of the shelf that are still to be made searchable, no more at once than fits into memory.

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::model::SearchName;
use super::progress::EventPlace;
use crate::batch::event::{DELIVERED, FAILED, PARTIALLY_DELIVERED};
use crate::batch::search::{SearchDocument, of_event, of_message, of_names};
use crate::batch::{BatchId, BatchKey, TenantId};

/// The most bytes of messages and events that are read at once; a single one may have more.
const MOST_BYTES: i64 = 1_000_000;
/// The most bytes of a message that is read: of a larger one only its names are searched.
const LARGEST: i64 = 8_000_000;

/// What is to be stored of a batch.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: SearchName,
    pub(super) known_at: i64,
    pub(super) document: SearchDocument,
}

/// The events that were read.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) found: Vec<Found>,
    /// How many events were read, also those that are not about outcomes.
    pub(super) read: u64,
    /// The last of them.
    pub(super) last: Option<EventPlace>,
    pub(super) is_more: bool,
}

/// The entries of the shelf that were read.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) found: Vec<Found>,
    /// Their ids and generations.
    pub(super) read: Vec<(i64, i64)>,
    pub(super) is_more: bool,
}

/// Reads the events after a place that were stored before `$4`.
pub(in crate::store) const LATER: &str = "SELECT subject, event_id, kind, created_at, octet_length(body) AS bytes \
    FROM outbox WHERE created_at >= $1 AND (created_at > $1 OR (subject, event_id) > ($2, $3)) AND created_at < $4 \
    ORDER BY created_at, subject, event_id LIMIT $5";

/// Reads the events before a place, the newest first; `$4` is only there so that both have the same parameters.
pub(in crate::store) const EARLIER: &str = "SELECT subject, event_id, kind, created_at, octet_length(body) AS bytes \
    FROM outbox WHERE created_at <= $1 AND (created_at < $1 OR (subject, event_id) < ($2, $3)) AND created_at < $4 \
    ORDER BY created_at DESC, subject DESC, event_id DESC LIMIT $5";

/// Reads entries that are not searchable.
pub(in crate::store) const ENTRIES: &str = "SELECT id, generation, identity, tenant_id, batch_id, shelved_at, \
    octet_length(body) AS bytes FROM shelf WHERE searched IS NULL ORDER BY id LIMIT $1";

/// Reads the events that follow a place in a direction, stored before a time.
pub(super) async fn events(
    conn: &mut AnyConnection,
    direction: &'static str,
    from: &EventPlace,
    before: i64,
    most: u32,
) -> Result<Events, StoreError> {
    let bounds = vec![
        Bound::Int(from.at),
        Bound::Text(from.subject.clone()),
        Bound::Text(from.event.clone()),
        Bound::Int(before),
        Bound::Int(most.into()),
    ];
    let rows = sql::fetch(conn, direction, bounds).await?;
    let fitting = fitting(&rows)?;
    let is_more = fitting.len() < rows.len() || is_full(&rows, most);
    let mut events = Events { read: fitting.len() as u64, is_more, ..Events::default() };
    let mut wanted = Vec::new();
    for row in fitting {
        let (at, subject, event) = (row.int("created_at")?, row.text("subject")?, row.text("event_id")?);
        if [DELIVERED, PARTIALLY_DELIVERED, FAILED].contains(&row.text("kind")?.as_str()) {
            wanted.push(json!({"subject": subject, "event": event}));
        }
        events.last = Some(EventPlace { at, subject, event });
    }
    events.found = of_events(conn, direction, &wanted).await?;
    Ok(events)
}

async fn of_events(conn: &mut AnyConnection, direction: &str, wanted: &[Value]) -> Result<Vec<Found>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let sql = event_bodies(Dialect::of(conn));
    let mut found = Vec::new();
    for row in sql::fetch(conn, sql, vec![Bound::from(wanted)]).await? {
        // An event that cannot be read is not about a batch.
        let Ok(key) = row.text("subject")?.parse::<BatchKey>() else { continue };
        let document = of_event(&key, &row.text("body").unwrap_or_default());
        let name = SearchName { tenant: Some(key.tenant), batch: Some(key.batch), shelf_id: 0 };
        let known_at = row.int("created_at")?;
        found.extend(document.map(|document| Found { name, known_at, document }));
    }
    // In the order in which they were wanted.
    found.sort_by_key(|found| found.known_at);
    if direction == EARLIER {
        found.reverse();
    }
    Ok(found)
}

pub(in crate::store) fn event_bodies(dialect: Dialect) -> String {
    format!(
        "SELECT o.subject, o.created_at, o.body FROM {} CROSS JOIN outbox o WHERE o.subject = r.subject \
         AND o.event_id = r.event",
        dialect.rows(&[("subject", Kind::Text), ("event", Kind::Text)])
    )
}

/// Reads entries of the shelf that are not searchable.
pub(super) async fn entries(conn: &mut AnyConnection, most: u32) -> Result<Entries, StoreError> {
    let rows = sql::fetch(conn, ENTRIES, vec![Bound::Int(most.into())]).await?;
    let fitting = fitting(&rows)?;
    let mut entries = Entries { is_more: fitting.len() < rows.len() || is_full(&rows, most), ..Entries::default() };
    let mut wanted = Vec::new();
    for row in &fitting {
        let id = row.int("id")?;
        entries.read.push((id, row.int("generation")?));
        if row.int("bytes")? <= LARGEST {
            wanted.push(json!({"entry": id}));
        }
    }
    let sql = format!(
        "SELECT s.id, s.body FROM {} CROSS JOIN shelf s WHERE s.id = r.entry",
        Dialect::of(conn).rows(&[("entry", Kind::Int)])
    );
    let bodies = match wanted.is_empty() {
        true => Vec::new(),
        false => sql::fetch(conn, sql, vec![Bound::from(wanted.as_slice())]).await?,
    };
    for row in fitting {
        let (id, tenant, batch) = (row.int("id")?, row.maybe_text("tenant_id")?, row.maybe_text("batch_id")?);
        let tenant = tenant.and_then(|tenant| TenantId::new(&tenant).ok());
        let batch = batch.and_then(|batch| BatchId::new(&batch).ok());
        let key = tenant.clone().zip(batch.clone()).map(|(tenant, batch)| BatchKey::new(tenant, batch));
        let body = bodies.iter().find(|row| row.int("id").is_ok_and(|found| found == id));
        let document = match body {
            Some(row) => of_message(key.as_ref(), &row.blob("body").unwrap_or_default()),
            None => of_names(key.as_ref()),
        };
        let is_batch = key.is_some() && !row.text("identity")?.starts_with("raw:");
        let name = SearchName { tenant, batch, shelf_id: if is_batch { 0 } else { id } };
        entries.found.push(Found { name, known_at: row.int("shelved_at")?, document });
    }
    Ok(entries)
}

/// Returns the first rows whose bodies together are not too large, at least one.
fn fitting(rows: &[AnyRow]) -> Result<Vec<&AnyRow>, StoreError> {
    let (mut fitting, mut bytes) = (Vec::new(), 0_i64);
    for row in rows {
        bytes = bytes.saturating_add(row.int("bytes")?);
        if bytes > MOST_BYTES && !fitting.is_empty() {
            break;
        }
        fitting.push(row);
    }
    Ok(fitting)
}

fn is_full(rows: &[AnyRow], most: u32) -> bool {
    rows.len() >= usize::try_from(most).unwrap_or(usize::MAX)
}
