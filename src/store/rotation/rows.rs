//! Reads and writes the rows of a replacement of the master key.

use std::sync::Arc;
use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::StoreError;
use super::super::connections::{key_of, sealed_key};
use super::super::sql::{self, Bound, Columns};
use super::MASTER_KEY_FACT;
use super::model::{Resealed, Rotation, SealedRow, WrappedKey};
use crate::batch::json_of;

/// Returns the replacement that was begun; `lock` ends the statement.
pub(super) async fn rotation(conn: &mut AnyConnection, lock: &str) -> Result<Option<Rotation>, StoreError> {
    let rows = sql::fetch(conn, format!("SELECT * FROM master_key_rotation {lock}"), vec![]).await?;
    let read = |row: &AnyRow| {
        let (from, to) = (row.text("from_key")?, row.text("to_key")?);
        let key = sealed_key(row, from.clone())?;
        Ok(Rotation {
            wrapped: WrappedKey { from, to, key },
            holder: row.text("holder")?,
            lease_until: row.int("lease_until")?,
            started_at: row.int("started_at")?,
            done_at: row.maybe_int("done_at")?,
        })
    };
    rows.first().map(read).transpose()
}

pub(super) async fn put(
    conn: &mut AnyConnection,
    wrapped: &WrappedKey,
    (holder, now, lease): (&str, i64, Duration),
) -> Result<(), StoreError> {
    let sql = "INSERT INTO master_key_rotation (id, from_key, to_key, key_nonce, key_ciphertext, key_bound_to, holder, \
               lease_until, started_at) VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8)";
    let bounds = vec![
        Bound::Text(wrapped.from.clone()),
        Bound::Text(wrapped.to.clone()),
        Bound::Blob(Arc::new(wrapped.key.nonce.clone())),
        Bound::Blob(Arc::new(wrapped.key.ciphertext.clone())),
        Bound::Text(wrapped.key.bound_to.clone()),
        Bound::Text(holder.into()),
        lease_until(now, lease),
        Bound::Int(now),
    ];
    sql::execute(conn, sql, bounds).await.map(drop)
}

pub(super) fn lease_until(now: i64, lease: Duration) -> Bound {
    Bound::Int(now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX)))
}

/// Prolongs the lease of a holder; returns whether it still had it.
pub(super) async fn renew(
    conn: &mut AnyConnection,
    holder: &str,
    now: i64,
    lease: Duration,
) -> Result<bool, StoreError> {
    let sql = "UPDATE master_key_rotation SET lease_until = $2 WHERE holder = $1 AND done_at IS NULL";
    Ok(sql::execute(conn, sql, vec![Bound::Text(holder.into()), lease_until(now, lease)]).await? == 1)
}

/// Returns the word of the store's master key; `lock` ends the statement.
pub(super) async fn present_key(conn: &mut AnyConnection, lock: &str) -> Result<Option<String>, StoreError> {
    let sql = format!("SELECT value FROM facts WHERE name = $1 {lock}");
    let rows = sql::fetch(conn, sql, vec![Bound::Text(MASTER_KEY_FACT.into())]).await?;
    rows.first().map(|row| row.text("value")).transpose()
}

pub(super) fn sealed_row(row: &AnyRow) -> Result<SealedRow, StoreError> {
    sealed_columns(row).map_err(|error| error.in_row("connections", || key_of(row)))
}

fn sealed_columns(row: &AnyRow) -> Result<SealedRow, StoreError> {
    let successor = row.maybe_text("successor")?;
    Ok(SealedRow {
        tenant: row.parsed("tenant_id")?,
        epoch: row.whole("epoch")?,
        key: sealed_key(row, row.text("key_id")?)?,
        // What cannot be read cannot be put in force either.
        successor: successor.and_then(|text| serde_json::from_str(&text).ok()),
    })
}

/// Stores keys that were encrypted again, unless their connection has changed; returns whether they were stored. That counts
/// as a change of the connection, so that nobody writes back what was read before.
pub(super) async fn put_resealed(conn: &mut AnyConnection, resealed: &Resealed) -> Result<bool, StoreError> {
    let Resealed { row, key_id } = resealed;
    let sql = "UPDATE connections SET key_nonce = $3, key_ciphertext = $4, key_bound_to = $5, key_id = $6, \
               successor = COALESCE($7, successor), epoch = epoch + 1 WHERE tenant_id = $1 AND epoch = $2";
    let bounds = vec![
        Bound::Text(row.tenant.as_str().into()),
        Bound::Int(i64::try_from(row.epoch).unwrap_or(i64::MAX)),
        Bound::Blob(Arc::new(row.key.nonce.clone())),
        Bound::Blob(Arc::new(row.key.ciphertext.clone())),
        Bound::Text(row.key.bound_to.clone()),
        Bound::Text(key_id.clone()),
        Bound::MaybeText(row.successor.as_ref().map(json_of)),
    ];
    Ok(sql::execute(conn, sql, bounds).await? == 1)
}
