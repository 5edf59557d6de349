//! Reads what is on the shelf from its rows.

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyRow;

use super::super::StoreError;
use super::super::replays::ReplayId;
use super::super::sql::Columns;
use super::{ShelfId, ShelfIdentity, Shelved, ShelvedUntil, Shelving};
use crate::batch::{BatchId, BatchKey, TenantId};

pub(in crate::store) fn shelved(row: &AnyRow, now: i64) -> Result<Shelved, StoreError> {
    let key = || row.int("id").map_or_else(|_| "?".to_owned(), |id| ShelfId(id).to_string());
    columns(row, now).map_err(|error| error.in_row("shelf", key))
}

fn columns(row: &AnyRow, now: i64) -> Result<Shelved, StoreError> {
    let tenant = row.maybe_text("tenant_id")?.map(|t| TenantId::new(&t)).transpose();
    let tenant = tenant.map_err(|_| StoreError::malformed("tenant_id"))?;
    let batch = row.maybe_text("batch_id")?.map(|b| BatchId::new(&b)).transpose();
    let batch = batch.map_err(|_| StoreError::malformed("batch_id"))?;
    let identity = row.text("identity")?;
    let identity = match (identity.strip_prefix("raw:"), &tenant, &batch) {
        (Some(hash), _, _) => ShelfIdentity::Raw(hash.to_owned(), tenant, batch),
        (None, Some(tenant), Some(batch)) => {
            let fingerprint = identity.rsplit('/').next().unwrap_or_default().to_owned();
            ShelfIdentity::Batch(BatchKey::new(tenant.clone(), batch.clone()), fingerprint)
        }
        (None, _, _) => return Err(StoreError::malformed("identity")),
    };
    let waits_for = row.text("waits_for")?;
    let due_at = row.int("due_at")?;
    let until = match waits_for.as_str() {
        "time" => ShelvedUntil::After(Duration::from_millis(u64::try_from(due_at - now).unwrap_or(0))),
        "connection" => ShelvedUntil::Connection,
        "person" => ShelvedUntil::Person,
        _ => return Err(StoreError::malformed("waits_for")),
    };
    Ok(Shelved {
        id: ShelfId(row.int("id")?),
        generation: row.int("generation")?,
        state: row.parsed("state")?,
        content: Shelving {
            identity,
            reason: row.parsed("reason")?,
            detail: row.maybe_text("detail")?,
            until,
            account: row.maybe_text("account")?,
            connection: row.maybe_text("connection")?,
            parks: row.whole("parks")?,
            failing_since: row.maybe_int("failing_since")?,
            arrived_at: row.int("arrived_at")?,
            published_at: row.maybe_int("published_at")?,
            headers: row.json("headers")?,
            body: Arc::new(row.blob("body")?),
        },
        due_at,
        shelved_at: row.int("shelved_at")?,
        leased: row.maybe_int("lease_until")?.is_some_and(|until| until > now),
        person_epoch: row.int("person_epoch")?,
        replay: row.maybe_int("replay")?.map(ReplayId),
        cases: row.maybe_whole("cases")?,
    })
}
