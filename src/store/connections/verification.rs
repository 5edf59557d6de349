//! Notes whether connections work, and stores the events that report a change of it.

use sqlx::AnyConnection;

use super::super::sql::{self, Bound, Columns};
use super::super::{StoreError, outbox};
use super::model::{passes, recheck_at};
use super::rows::{Kept, earliest, finding_text, kept};
use super::{Refusal, Verification};
use crate::batch::event::{ConnectionChange, connection_failed, connection_restored};
use crate::batch::{TenantId, json_of};

pub(super) async fn note(
    conn: &mut AnyConnection,
    now: i64,
    kept: &Kept,
    finding: &Verification,
) -> Result<(), StoreError> {
    let Kept { row: before, fails, .. } = kept;
    let (tenant, version, fails) = (&before.tenant, before.version.as_str(), *fails);
    let key = || vec![Bound::Text(tenant.as_str().into()), Bound::Int(now)];
    let seen = before.seen_after(finding, now);
    if before.is_verified() && passes(Some(finding)) {
        let sql = "UPDATE connections SET checked_at = $2, finding = $3, epoch = epoch + 1 WHERE tenant_id = $1";
        let kept = before.finding.as_ref().map(|kept| finding_text(kept, &seen));
        let bounds = key().into_iter().chain([Bound::MaybeText(kept)]).collect();
        sql::execute(conn, sql, bounds).await?;
        return Ok(());
    }
    let set = |verified| {
        format!(
            "UPDATE connections SET checked_at = $2, finding = $3, recheck_at = $4, rechecks = $5, \
             epoch = epoch + 1, {verified} WHERE tenant_id = $1"
        )
    };
    let with = |own_recheck, fails: u32| {
        let recheck_at = earliest(own_recheck, before.successor_due_at());
        let finding = Bound::Text(finding_text(finding, &seen));
        key().into_iter().chain([finding, Bound::MaybeInt(recheck_at), Bound::Int(fails.into())]).collect()
    };
    match finding {
        Verification::Works { .. } => {
            let is_proven = before.refusal.is_none() && (fails == 0 || waiting(conn, tenant).await? == 0);
            let bounds = with(None, if is_proven { 0 } else { fails });
            sql::execute(conn, set("verified_version = version, verified_at = $2"), bounds).await?;
            if is_proven { report_restored(conn, now, kept, version).await } else { Ok(()) }
        }
        Verification::Fails { reason, detail } => {
            let bounds = with(recheck_at(*reason, fails, now), fails.saturating_add(1));
            // If it worked meanwhile but that was not reported, failing again is not reported either.
            if !before.is_verified() || fails > 0 {
                return sql::execute(conn, set("verified_version = NULL"), bounds).await.map(drop);
            }
            sql::execute(conn, set("verified_version = NULL, failure_reported = 1"), bounds).await?;
            let change = ConnectionChange { tenant, version, epoch: before.epoch.saturating_add(1), at: now };
            outbox::put(conn, now, vec![(&connection_failed(change, *reason, Some(detail)), None)]).await.map(drop)
        }
    }
}

/// Keeps what a request of a batch was refused with until a case arrives, where verifying cannot show that it has passed.
pub(super) async fn keep_refusal(
    conn: &mut AnyConnection,
    now: i64,
    tenant: &TenantId,
    finding: &Verification,
) -> Result<(), StoreError> {
    let Some(refusal) = Refusal::of(finding, now) else { return Ok(()) };
    let sql = "UPDATE connections SET refusal = $2 WHERE tenant_id = $1";
    sql::execute(conn, sql, vec![Bound::Text(tenant.as_str().into()), Bound::Text(json_of(&refusal))]).await.map(drop)
}

/// Notes that cases of tenants have arrived, and reports connections as restored that were reported as failed.
pub(in crate::store) async fn proven(
    conn: &mut AnyConnection,
    now: i64,
    tenants: &[TenantId],
) -> Result<(), StoreError> {
    for tenant in tenants {
        let Kept { row, fails, is_reported } = match kept(conn, tenant).await {
            Ok(Some(kept)) => kept,
            // What cannot be read is not reported, and must not keep from being stored what arrived.
            Ok(None) | Err(StoreError::Unreadable(_)) => continue,
            Err(error) => return Err(error),
        };
        if (fails == 0 && row.refusal.is_none()) || !row.is_verified() {
            continue;
        }
        let sql = "UPDATE connections SET rechecks = 0, refusal = NULL, epoch = epoch + 1 WHERE tenant_id = $1";
        sql::execute(conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        if fails > 0 && is_reported {
            let change =
                ConnectionChange { tenant, version: &row.version, epoch: row.epoch.saturating_add(1), at: now };
            tell(conn, change).await?;
        }
    }
    Ok(())
}

/// Stores the event that a connection works again, if it was reported as failed before.
pub(super) async fn report_restored(
    conn: &mut AnyConnection,
    now: i64,
    before: &Kept,
    version: &str,
) -> Result<(), StoreError> {
    let Kept { row, is_reported, .. } = before;
    if !is_reported || row.is_verified() || !matches!(row.finding, Some(Verification::Fails { .. })) {
        return Ok(());
    }
    let epoch = row.epoch.saturating_add(1);
    tell(conn, ConnectionChange { tenant: &row.tenant, version, epoch, at: now }).await
}

async fn tell(conn: &mut AnyConnection, change: ConnectionChange<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE connections SET failure_reported = 0 WHERE tenant_id = $1";
    sql::execute(conn, sql, vec![Bound::Text(change.tenant.as_str().into())]).await?;
    let batches = waiting(conn, change.tenant).await?;
    let (event, now) = (connection_restored(change, batches), change.at);
    outbox::put(conn, now, vec![(&event, None)]).await.map(drop)
}

/// Counts the batches of a tenant that wait for its connection.
async fn waiting(conn: &mut AnyConnection, tenant: &TenantId) -> Result<u64, StoreError> {
    let sql = "SELECT COUNT(*) AS n FROM shelf WHERE tenant_id = $1 AND state = 'parked' \
               AND waits_for = 'connection'";
    let rows = sql::fetch(conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
    rows.first().map_or(Ok(0), |row| row.whole("n"))
}
