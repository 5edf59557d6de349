//! Stores entries of histories in the transaction of a change, and reads them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::entry::{Happening, HistoryEntry, WaitsFor};
use super::fold::{COMPARED, MOST_ENTRIES, Recent};
use crate::batch::{BatchId, BatchKey, TenantId};

const KEYS: [(&str, Kind); 2] = [("tenant", Kind::Text), ("batch", Kind::Text)];

const COLUMNS: [(&str, Kind); 11] = [
    ("tenant_id", Kind::Text),
    ("batch_id", Kind::Text),
    ("place", Kind::Int),
    ("kind", Kind::Text),
    ("reason", Kind::Text),
    ("detail", Kind::Text),
    ("facts", Kind::Text),
    ("first_at", Kind::Int),
    ("last_at", Kind::Int),
    ("until_at", Kind::Int),
    ("times", Kind::Int),
];

/// Reads the entries of a batch in their order.
pub(in crate::store) const ENTRIES: &str =
    "SELECT * FROM batch_history WHERE tenant_id = $1 AND batch_id = $2 ORDER BY place";

/// The statement that reads the latest entries of batches.
pub(in crate::store) fn recent_statement(dialect: Dialect) -> String {
    format!(
        "SELECT h.* FROM {} CROSS JOIN batch_history h WHERE h.tenant_id = r.tenant AND h.batch_id = r.batch \
         AND h.place > (SELECT MAX(m.place) FROM batch_history m WHERE m.tenant_id = r.tenant AND m.batch_id = r.batch) \
         - $2 ORDER BY h.tenant_id, h.batch_id, h.place",
        dialect.rows(&KEYS)
    )
}

/// Adds entries to the histories of batches, in their order. Without any it costs nothing.
pub(in crate::store) async fn remember(
    conn: &mut AnyConnection,
    new: Vec<(BatchKey, HistoryEntry)>,
) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let mut recent = latest(conn, &new).await?;
    let mut changed: BTreeMap<(BatchKey, u64), HistoryEntry> = BTreeMap::new();
    for (key, entry) in new {
        let (place, entry) = recent.entry(key.clone()).or_default().add(entry);
        changed.insert((key, place), entry);
    }
    // In one order, so that replicas which store the same ones wait for each other in it.
    let rows: Vec<Value> = changed.iter().map(|((key, place), entry)| row(key, *place, entry)).collect();
    let dialect = Dialect::of(conn);
    let sql = format!(
        "INSERT INTO batch_history (tenant_id, batch_id, place, kind, reason, detail, facts, first_at, last_at, until_at, \
         times) SELECT tenant_id, batch_id, place, kind, reason, detail, facts, first_at, last_at, until_at, times \
         FROM {} WHERE true ON CONFLICT (tenant_id, batch_id, place) DO UPDATE SET kind = excluded.kind, \
         reason = excluded.reason, detail = excluded.detail, facts = excluded.facts, first_at = excluded.first_at, \
         last_at = excluded.last_at, until_at = excluded.until_at, times = excluded.times",
        dialect.rows(&COLUMNS)
    );
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
    let dropped = |(key, place): &(BatchKey, u64)| {
        let place = place.checked_sub(MOST_ENTRIES).filter(|place| *place > 0)?;
        Some(json!({"tenant": key.tenant.as_str(), "batch": key.batch.as_str(), "place": place}))
    };
    let dropped: Vec<Value> = changed.keys().filter_map(dropped).collect();
    if dropped.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "DELETE FROM batch_history WHERE (tenant_id, batch_id, place) IN (SELECT r.tenant, r.batch, r.place FROM {})",
        dialect.rows(&[KEYS[0], KEYS[1], ("place", Kind::Int)])
    );
    sql::execute(conn, sql, vec![Bound::from(dropped.as_slice())]).await.map(drop)
}

/// Reads the latest entries of the batches for which there are new ones.
async fn latest(
    conn: &mut AnyConnection,
    new: &[(BatchKey, HistoryEntry)],
) -> Result<BTreeMap<BatchKey, Recent>, StoreError> {
    let keys: BTreeSet<&BatchKey> = new.iter().map(|(key, _)| key).collect();
    let keys: Vec<Value> =
        keys.into_iter().map(|key| json!({"tenant": key.tenant.as_str(), "batch": key.batch.as_str()})).collect();
    let compared = Bound::Int(i64::try_from(COMPARED).unwrap_or(i64::MAX));
    let sql = recent_statement(Dialect::of(conn));
    let mut recent: BTreeMap<BatchKey, Recent> = BTreeMap::new();
    for row in sql::fetch(conn, sql, vec![Bound::from(keys.as_slice()), compared]).await? {
        let tenant = TenantId::new(&row.text("tenant_id")?).map_err(|_| StoreError::malformed("tenant_id"))?;
        let batch = BatchId::new(&row.text("batch_id")?).map_err(|_| StoreError::malformed("batch_id"))?;
        // An entry that a newer version wrote is repeated by none of this version.
        recent.entry(BatchKey::new(tenant, batch)).or_default().stored(row.whole("place")?, columns(&row).ok());
    }
    Ok(recent)
}

fn row(key: &BatchKey, place: u64, entry: &HistoryEntry) -> Value {
    let (kind, reason, detail, facts) = match &entry.what {
        Happening::Shelved { reason, detail, waits_for } => {
            (waits_for.kind(), Some(reason.code()), detail.as_deref(), None)
        }
        Happening::Retried { reason, detail } => ("retried", Some(reason.code()), detail.as_deref(), None),
        Happening::Reconciled(found) => ("reconciled", None, None, Some(crate::batch::json_of(found))),
        Happening::LateChecked { duplicates } => ("late_checked", None, None, Some(duplicates.to_string())),
        Happening::Overwritten(edits) => ("overwritten", None, None, Some(crate::batch::json_of(edits))),
    };
    json!({
        "tenant_id": key.tenant.as_str(), "batch_id": key.batch.as_str(), "place": place, "kind": kind, "reason": reason,
        "detail": detail, "facts": facts, "first_at": entry.first_at, "last_at": entry.last_at, "until_at": entry.until,
        "times": entry.times,
    })
}

/// Reads an entry from its row.
pub(super) fn entry(row: &AnyRow) -> Result<HistoryEntry, StoreError> {
    let part = |name: &str| row.text(name).unwrap_or_else(|_| "?".into());
    let place = || row.int("place").map_or_else(|_| "?".into(), |place| place.to_string());
    let name = || format!("{}/{} {}", part("tenant_id"), part("batch_id"), place());
    columns(row).map_err(|error| error.in_row("batch_history", name))
}

fn columns(row: &AnyRow) -> Result<HistoryEntry, StoreError> {
    let kind = row.text("kind")?;
    let what = match kind.as_str() {
        "retried" => Happening::Retried { reason: row.parsed("reason")?, detail: row.maybe_text("detail")? },
        "reconciled" => Happening::Reconciled(row.json("facts")?),
        "late_checked" => Happening::LateChecked { duplicates: row.parsed("facts")? },
        "overwritten" => Happening::Overwritten(row.json("facts")?),
        other => {
            let waits_for = WaitsFor::of_kind(other).ok_or_else(|| StoreError::malformed("kind"))?;
            Happening::Shelved { reason: row.parsed("reason")?, detail: row.maybe_text("detail")?, waits_for }
        }
    };
    Ok(HistoryEntry {
        what,
        first_at: row.int("first_at")?,
        last_at: row.int("last_at")?,
        until: row.maybe_int("until_at")?,
        times: row.whole("times")?,
    })
}

impl WaitsFor {
    fn kind(self) -> &'static str {
        match self {
            Self::Time => "waits_for_time",
            Self::Connection => "waits_for_connection",
            Self::Person => "waits_for_person",
        }
    }

    fn of_kind(kind: &str) -> Option<Self> {
        [Self::Time, Self::Connection, Self::Person].into_iter().find(|waits_for| waits_for.kind() == kind)
    }
}
