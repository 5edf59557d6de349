//! Reads connections from their rows and stores them.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns, Dialect};
use super::model::recheck_at;
use super::{ConnectionRow, SealedKey, Seen, Successor, Verification};
use crate::batch::{TenantId, json_of};

/// The key of what is remembered beside a finding.
const SEEN: &str = "seen";

/// Stores a connection if the stored epoch is the one of `row`, which is 0 for a connection that is new; returns whether
/// it was stored. A new one begins with the time as its epoch, so that it is never taken for one that was removed.
///
/// `fails` is how often a verified one failed since it was last reported as working.
pub(super) async fn write(
    conn: &mut AnyConnection,
    now: i64,
    row: &ConnectionRow,
    fails: u32,
) -> Result<bool, StoreError> {
    let (recheck_at, rechecks) = match &row.finding {
        Some(Verification::Fails { reason, .. }) if !row.is_verified() => (recheck_at(*reason, 0, now), 1),
        Some(_) | None => (None, fails),
    };
    let recheck_at = earliest(recheck_at, row.successor_due_at());
    let sql = if row.epoch == 0 {
        "INSERT INTO connections (tenant_id, version, origin, key_nonce, key_ciphertext, key_bound_to, expires_on, \
         project_id, folder_id, mapping, verified_version, verified_at, checked_at, finding, changed_at, \
         resolved_mapping, recheck_at, rechecks, epoch, refusal, successor, fields, key_id, source, failure_reported) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, 0) \
         ON CONFLICT (tenant_id) DO NOTHING"
    } else {
        "UPDATE connections SET version = $2, origin = $3, key_nonce = $4, key_ciphertext = $5, key_bound_to = $6, \
         expires_on = $7, project_id = $8, folder_id = $9, mapping = $10, verified_version = $11, verified_at = $12, \
         checked_at = $13, finding = $14, changed_at = $15, resolved_mapping = $16, recheck_at = $17, rechecks = $18, \
         refusal = $20, successor = $21, fields = $22, key_id = $23, source = $24, \
         epoch = epoch + 1 WHERE tenant_id = $1 AND epoch = $19"
    };
    let epoch = if row.epoch == 0 { now } else { i64::try_from(row.epoch).unwrap_or(i64::MAX) };
    let bounds = vec![
        Bound::Text(row.tenant.as_str().into()),
        Bound::Text(row.version.clone()),
        Bound::Text(row.origin.clone()),
        Bound::Blob(Arc::new(row.key.nonce.clone())),
        Bound::Blob(Arc::new(row.key.ciphertext.clone())),
        Bound::Text(row.key.bound_to.clone()),
        Bound::MaybeText(row.expires_on.clone()),
        Bound::Int(i64::try_from(row.project).unwrap_or(i64::MAX)),
        Bound::Int(i64::try_from(row.folder).unwrap_or(i64::MAX)),
        Bound::Text(json_of(&row.mapping)),
        Bound::MaybeText(row.verified_version.clone()),
        Bound::MaybeInt(row.verified_at),
        Bound::MaybeInt(row.checked_at),
        Bound::MaybeText(row.finding.as_ref().map(|finding| finding_text(finding, &row.seen))),
        Bound::Int(now),
        Bound::MaybeText(row.resolved.as_ref().map(json_of)),
        Bound::MaybeInt(recheck_at),
        Bound::Int(rechecks.into()),
        Bound::Int(epoch),
        Bound::MaybeText(row.refusal.as_ref().map(json_of)),
        Bound::MaybeText(row.successor.as_ref().map(json_of)),
        Bound::Text(json_of(&row.fields)),
        Bound::Text(common_key_id(row).into()),
        Bound::MaybeText(row.source.as_ref().map(json_of)),
    ];
    Ok(sql::execute(conn, sql, bounds).await? == 1)
}

/// Returns the master key that all API keys of a connection are encrypted with; empty if they are not.
fn common_key_id(row: &ConnectionRow) -> &str {
    let id = row.key.key_id.as_str();
    if row.successor.as_ref().is_none_or(|next| next.key.key_id == id) { id } else { "" }
}

/// A connection, with what is noted about reports of its failures.
pub(super) struct Kept {
    pub(super) row: ConnectionRow,
    /// How often its verification has failed since it was last known to work.
    pub(super) fails: u32,
    /// Whether an event reports that it failed, and none that it works again. Where an earlier version noted nothing, a
    /// failure counts as reported.
    pub(super) is_reported: bool,
}

/// Returns a tenant's connection, and keeps others from changing it until the transaction ends.
pub(super) async fn kept(conn: &mut AnyConnection, tenant: &TenantId) -> Result<Option<Kept>, StoreError> {
    let sql = format!("SELECT * FROM connections WHERE tenant_id = $1 {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
    let kept = |row| {
        let is_reported = row_says_reported(row)?;
        Ok(Kept { row: connection(row)?, fails: row.whole("rechecks")?, is_reported })
    };
    rows.first().map(kept).transpose()
}

fn row_says_reported(row: &AnyRow) -> Result<bool, StoreError> {
    Ok(row.maybe_int("failure_reported")?.is_none_or(|reported| reported != 0))
}

/// Returns the earlier of two times, if there is one.
pub(super) fn earliest(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

/// Writes a finding with what is remembered beside it. That stands inside of the finding, where builds that do not know it
/// ignore it.
pub(super) fn finding_text(finding: &Verification, seen: &Seen) -> String {
    let mut value = serde_json::to_value(finding).unwrap_or_default();
    let inner = value.as_object_mut().and_then(|kinds| kinds.values_mut().next()).and_then(Value::as_object_mut);
    if let (Some(inner), false) = (inner, *seen == Seen::default()) {
        inner.insert(SEEN.into(), serde_json::to_value(seen).unwrap_or_default());
    }
    value.to_string()
}

/// Reads what is remembered beside a finding. No batch depends on it, so what cannot be read does not stop the connection.
fn seen_in(finding: Option<&Value>) -> Seen {
    let inner = finding.and_then(Value::as_object).and_then(|kinds| kinds.values().next());
    inner.and_then(|inner| Seen::deserialize(inner.get(SEEN)?).ok()).unwrap_or_default()
}

pub(in crate::store) fn connection(row: &AnyRow) -> Result<ConnectionRow, StoreError> {
    columns(row).map_err(|error| error.in_row("connections", || key_of(row)))
}

/// Reads an encrypted key that is encrypted with the master key `key_id`.
pub(in crate::store) fn sealed_key(row: &AnyRow, key_id: String) -> Result<SealedKey, StoreError> {
    Ok(SealedKey {
        nonce: row.blob("key_nonce")?,
        ciphertext: row.blob("key_ciphertext")?,
        bound_to: row.text("key_bound_to")?,
        key_id,
    })
}

/// Returns the tenant of a row for an error that names the row.
pub(in crate::store) fn key_of(row: &AnyRow) -> String {
    row.text("tenant_id").unwrap_or_else(|_| "?".into())
}

fn columns(row: &AnyRow) -> Result<ConnectionRow, StoreError> {
    let version = row.text("version")?;
    let successor: Option<Box<Successor>> = maybe_json(row, "successor")?;
    Ok(ConnectionRow {
        tenant: row.parsed("tenant_id")?,
        origin: row.text("origin")?,
        // The tables of an earlier version, which are only examined, have no id of the key.
        key: sealed_key(row, row.text("key_id").unwrap_or_default())?,
        expires_on: row.maybe_text("expires_on")?,
        project: row.whole("project_id")?,
        folder: row.whole("folder_id")?,
        mapping: row.json("mapping")?,
        resolved: maybe_json(row, "resolved_mapping")?,
        fields: maybe_json(row, "fields")?.unwrap_or_default(),
        verified_version: row.maybe_text("verified_version")?,
        verified_at: row.maybe_int("verified_at")?,
        checked_at: row.maybe_int("checked_at")?,
        seen: seen_in(maybe_json(row, "finding")?.as_ref()),
        finding: maybe_json(row, "finding")?,
        last_success_at: row.maybe_int("last_success_at")?,
        refusal: maybe_json(row, "refusal")?,
        successor: successor.filter(|next| next.replaces == version),
        // No batch depends on it, so what cannot be read does not stop the connection.
        probe: row.maybe_text("probe")?.and_then(|text| serde_json::from_str(&text).ok()),
        // The tables of an earlier version, which are only examined, have none.
        source: row.maybe_text("source").ok().flatten().and_then(|text| serde_json::from_str(&text).ok()),
        version,
        epoch: row.whole("epoch")?,
    })
}

fn maybe_json<T: DeserializeOwned>(row: &AnyRow, column: &'static str) -> Result<Option<T>, StoreError> {
    let read = |text: String| serde_json::from_str(&text).map_err(|_| StoreError::malformed(column));
    row.maybe_text(column)?.map(read).transpose()
}
