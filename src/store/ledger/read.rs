//! Reads batches from their rows.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{StoreError, UnreadableRow};
use super::StoredBatch;
use crate::batch::ledger::{BatchRecord, BatchState};
use crate::batch::{BatchId, BatchKey, TenantId};
use crate::trace::TraceContext;

/// Batches as they are stored, and those that cannot be read.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) stored: HashMap<BatchKey, StoredBatch>,
    pub(super) unreadable: HashMap<BatchKey, UnreadableRow>,
}

pub(super) fn only(mut loaded: Loaded, key: &BatchKey) -> Result<Option<StoredBatch>, StoreError> {
    match loaded.unreadable.remove(key) {
        Some(row) => Err(StoreError::Unreadable(row)),
        None => Ok(loaded.stored.remove(key)),
    }
}

pub(super) async fn load(conn: &mut AnyConnection, keys: HashSet<&BatchKey>) -> Result<Loaded, StoreError> {
    let rows = key_rows(keys);
    let sql = format!(
        "SELECT b.* FROM {} JOIN batches b ON b.tenant_id = r.tenant AND b.batch_id = r.batch WHERE b.epoch > 0",
        Dialect::of(conn).rows(&[("tenant", Kind::Text), ("batch", Kind::Text)])
    );
    let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
    let mut loaded = Loaded::default();
    for row in &rows {
        match stored(row) {
            Ok(stored) => drop(loaded.stored.insert(stored.record.key.clone(), stored)),
            Err(StoreError::Unreadable(unreadable)) => drop(loaded.unreadable.insert(key_of(row)?, unreadable)),
            Err(error) => return Err(error),
        }
    }
    Ok(loaded)
}

/// Returns those of some batches that are open.
pub(super) async fn open_of(
    conn: &mut AnyConnection,
    keys: HashSet<&BatchKey>,
) -> Result<HashSet<BatchKey>, StoreError> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = key_rows(keys);
    let sql = format!(
        "SELECT b.tenant_id, b.batch_id FROM {} JOIN batches b ON b.tenant_id = r.tenant AND b.batch_id = r.batch \
         WHERE b.epoch > 0 AND b.state = '{}'",
        Dialect::of(conn).rows(&[("tenant", Kind::Text), ("batch", Kind::Text)]),
        BatchState::Open.name()
    );
    let rows = sql::fetch(conn, sql, vec![Bound::from(rows.as_slice())]).await?;
    rows.iter().map(key_of).collect()
}

fn key_rows(keys: HashSet<&BatchKey>) -> Vec<Value> {
    keys.into_iter().map(|k| json!({"tenant": k.tenant.as_str(), "batch": k.batch.as_str()})).collect()
}

pub(super) fn key_of(row: &AnyRow) -> Result<BatchKey, StoreError> {
    let tenant = TenantId::new(&row.text("tenant_id")?).map_err(|_| StoreError::malformed("tenant_id"))?;
    let batch = BatchId::new(&row.text("batch_id")?).map_err(|_| StoreError::malformed("batch_id"))?;
    Ok(BatchKey::new(tenant, batch))
}

pub(in crate::store) fn stored(row: &AnyRow) -> Result<StoredBatch, StoreError> {
    let part = |name: &str| row.text(name).unwrap_or_else(|_| "?".into());
    let key = || format!("{}/{}", part("tenant_id"), part("batch_id"));
    columns(row).map_err(|error| error.in_row("batches", key))
}

fn columns(row: &AnyRow) -> Result<StoredBatch, StoreError> {
    let open_push = row.maybe_text("open_push")?;
    let open_push = open_push
        .map(|text| serde_json::from_str(&text).map_err(|_| StoreError::malformed("open_push")))
        .transpose()?;
    let earlier = row.maybe_text("edited_from")?;
    let earlier = earlier.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::malformed("edited_from")));
    let earlier = earlier.transpose()?.unwrap_or_default();
    let dropped = row.maybe_text("dropped")?;
    let dropped = dropped.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::malformed("dropped")));
    let dropped = dropped.transpose()?.unwrap_or_default();
    let record = BatchRecord {
        key: key_of(row)?,
        fingerprint: row.text("fingerprint")?,
        earlier,
        state: row.parsed("state")?,
        revision: row.whole("revision")?,
        epoch: row.whole("epoch")?,
        source: row.maybe_text("source")?,
        replaced: row.maybe_text("replaced")?,
        targets: row.json("targets")?,
        cases: row.json("cases")?,
        dropped,
        open_push,
        unclear_since: row.maybe_int("doubt_since")?,
        late_since: row.maybe_int("late_since")?,
        floor: row.maybe_whole("floor")?,
        first_seen_at: row.int("first_seen_at")?,
        settled_at: row.maybe_int("settled_at")?,
        published_at: row.maybe_int("published_at")?,
        arrived_at: row.maybe_int("arrived_at")?,
        restores: row.whole("restores")?,
        // A trace is not worth a batch: what cannot be read is left out.
        trace: row.maybe_text("trace")?.as_deref().and_then(TraceContext::of_stored),
    };
    Ok(StoredBatch { record, claimed_at: row.maybe_int("claimed_at")?, lease_until: row.maybe_int("lease_until")? })
}
