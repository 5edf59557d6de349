//! Stores what operators order for the lanes of tenants and accounts.

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::audit::{self, AuditEntry};
use super::super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::super::{Store, StoreError};
use super::{LaneOverride, LaneSelector};
use crate::batch::TenantId;

impl Store {
    /// Changes the override of a lane, with the entries of the audit, and returns the one that is in force now; one that
    /// orders nothing is removed. What was shelved because of a pause that this ends is due at once.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn change_lane(
        &self,
        lane: &LaneSelector,
        change: impl FnOnce(LaneOverride) -> (LaneOverride, Vec<AuditEntry>) + Send,
    ) -> Result<LaneOverride, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let (order, audit) = change(kept(conn, lane).await?);
        put(conn, now, &order).await?;
        audit::put(conn, now, audit.iter()).await?;
        transaction.commit().await?;
        Ok(order)
    }

    /// Stores an override in place of the one before, whatever that was and without an entry of the audit.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn set_lane_override(&self, order: &LaneOverride) -> Result<(), StoreError> {
        let order = order.clone();
        self.change_lane(&order.lane.clone(), |_| (order, Vec::new())).await.map(drop)
    }
}

/// Returns the override of a lane, and keeps others from changing it until the transaction ends. Where there is none, or this
/// version cannot read it, it orders nothing.
async fn kept(conn: &mut AnyConnection, lane: &LaneSelector) -> Result<LaneOverride, StoreError> {
    let key = || vec![Bound::Text(lane.kind().into()), Bound::Text(lane.name().into())];
    if Dialect::of(conn).is_shared() {
        // A row that is not there cannot be locked.
        let sql = "INSERT INTO lane_orders (kind, name, paused) VALUES ($1, $2, 0) ON CONFLICT (kind, name) DO NOTHING";
        sql::execute(conn, sql, key()).await?;
    }
    let sql = format!("SELECT * FROM lane_orders WHERE kind = $1 AND name = $2 {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, sql, key()).await?;
    let none = || LaneOverride { lane: lane.clone(), paused: false, most: None };
    Ok(rows.first().and_then(|row| order(row).ok()).unwrap_or_else(none))
}

/// Stores an override; what waits for the end of a pause that it does not order is due at once.
async fn put(conn: &mut AnyConnection, now: i64, order: &LaneOverride) -> Result<(), StoreError> {
    let lane = || vec![Bound::Text(order.lane.kind().into()), Bound::Text(order.lane.name().into())];
    if !order.paused && order.most.is_none() {
        sql::execute(conn, "DELETE FROM lane_orders WHERE kind = $1 AND name = $2", lane()).await?;
    } else {
        let ordered = [Bound::Int(i64::from(order.paused)), Bound::MaybeInt(order.most.map(i64::from))];
        let sql = "INSERT INTO lane_orders (kind, name, paused, most) VALUES ($1, $2, $3, $4) \
                       ON CONFLICT (kind, name) DO UPDATE SET paused = excluded.paused, most = excluded.most";
        sql::execute(conn, sql, lane().into_iter().chain(ordered).collect()).await?;
    }
    // After the override is changed: a change that shelves because of a pause locks overrides until it is stored.
    if !order.paused {
        let sql = "UPDATE shelf SET due_at = $3 WHERE state = 'parked' AND reason = 'paused' \
                       AND (($1 = 'tenant' AND tenant_id = $2) OR ($1 = 'account' AND account = $2))";
        sql::execute(conn, sql, lane().into_iter().chain([Bound::Int(now)]).collect()).await?;
    }
    Ok(())
}

/// Where replicas share the store: keeps orders as they are until the transaction ends.
pub(in crate::store) async fn keep_orders(conn: &mut AnyConnection) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    if dialect.is_shared() {
        let sql = format!("SELECT 1 FROM lane_orders ORDER BY kind, name {}", dialect.keep());
        sql::execute(conn, sql, vec![]).await?;
    }
    Ok(())
}

/// Returns whether an operator has paused a tenant or an account.
pub(in crate::store) async fn is_paused(
    conn: &mut AnyConnection,
    tenant: Option<&TenantId>,
    account: Option<&str>,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM lane_orders WHERE paused = 1 AND ((kind = 'tenant' AND name = $1) \
               OR (kind = 'account' AND name = $2))";
    let bounds = vec![Bound::MaybeText(tenant.map(|t| t.as_str().into())), Bound::MaybeText(account.map(Into::into))];
    Ok(!sql::fetch(conn, sql, bounds).await?.is_empty())
}

pub(super) async fn lane_overrides(conn: &mut AnyConnection) -> Result<Vec<AnyRow>, StoreError> {
    sql::fetch(conn, "SELECT * FROM lane_orders ORDER BY kind, name", vec![]).await
}

pub(super) fn order(row: &AnyRow) -> Result<LaneOverride, StoreError> {
    let part = |name: &str| row.text(name).unwrap_or_else(|_| "?".into());
    lane_order(row).map_err(|error| error.in_row("lane_orders", || format!("{} {}", part("kind"), part("name"))))
}

fn lane_order(row: &AnyRow) -> Result<LaneOverride, StoreError> {
    let lane = match row.text("kind")?.as_str() {
        "tenant" => LaneSelector::Tenant(row.parsed("name")?),
        "account" => LaneSelector::Account(row.text("name")?),
        _ => return Err(StoreError::malformed("kind")),
    };
    let most = row.maybe_int("most")?.map(|most| u32::try_from(most).unwrap_or(u32::MAX));
    Ok(LaneOverride { lane, paused: row.int("paused")? != 0, most })
}
