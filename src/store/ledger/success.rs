//! Notes for which tenants cases arrived.

use std::collections::HashSet;

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{StoreError, connections};
use crate::batch::TenantId;

/// A success is noted at most so often, so that replicas do not wait for each other over it.
const SUCCESS_GRAIN_MS: i64 = 1_000;

pub(super) async fn note_successes(
    conn: &mut AnyConnection,
    now: i64,
    tenants: HashSet<&TenantId>,
) -> Result<(), StoreError> {
    if tenants.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = tenants.into_iter().map(|t| json!({"tenant": t.as_str()})).collect();
    let dialect = Dialect::of(conn);
    let sql = format!(
        "UPDATE connections SET last_success_at = $2 FROM (SELECT c.tenant_id AS due FROM connections c \
         JOIN {} ON c.tenant_id = r.tenant WHERE c.last_success_at IS NULL OR c.last_success_at <= $3 \
         OR c.rechecks > 0 OR c.refusal IS NOT NULL {}) AS d WHERE tenant_id = due RETURNING tenant_id, rechecks, refusal",
        dialect.rows(&[("tenant", Kind::Text)]),
        dialect.skip_taken()
    );
    let bounds = vec![Bound::from(rows.as_slice()), Bound::Int(now), Bound::Int(now - SUCCESS_GRAIN_MS)];
    let noted = sql::fetch(conn, sql, bounds).await?;
    let is_on_trial = |row: &&AnyRow| {
        row.int("rechecks").is_ok_and(|fails| fails > 0) || row.maybe_text("refusal").is_ok_and(|text| text.is_some())
    };
    let on_trial = noted.iter().filter(is_on_trial);
    let on_trial: Vec<TenantId> = on_trial.map(|row| row.parsed("tenant_id")).collect::<Result<_, _>>()?;
    connections::proven(conn, now, &on_trial).await
}
