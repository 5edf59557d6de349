//! Puts batches onto the shelf and takes them off it, in the transaction of the change that does so.

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::sql::{self, Bound, Dialect, Kind};
use super::super::{StoreError, accounts, removal};
use super::{Action, OperatorAction, ShelfIdentity, ShelfState, ShelvedUntil, Shelving};
use crate::batch::Reason;
use crate::batch::cause::CauseId;

/// What is shelved because its tenant has no connection is due again so late, if the tenant gets none before.
const UNKNOWN_TENANT_AGAIN_MS: i64 = 86_400_000;
/// What is shelved over a pause that is over comes back so soon.
const PAUSE_IS_OVER_MS: i64 = 5_000;

/// Puts something onto the shelf, in place of what is there under the same identity. A dead row stays dead until an
/// operator acts: a later copy that only waits must not take its place and then be dropped as a duplicate.
pub(in crate::store) async fn put(conn: &mut AnyConnection, now: i64, shelving: &Shelving) -> Result<(), StoreError> {
    let identity = text_of(&shelving.identity);
    let (tenant, batch) = match &shelving.identity {
        ShelfIdentity::Batch(key, _) => (Some(key.tenant.clone()), Some(key.batch.clone())),
        ShelfIdentity::Raw(_, tenant, batch) => (tenant.clone(), batch.clone()),
    };
    let (state, waits_for, due_at) = match shelving.until {
        ShelvedUntil::After(wait) => {
            (ShelfState::Parked, "time", now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
        }
        ShelvedUntil::Connection if shelving.reason == Reason::UnknownTenant => {
            (ShelfState::Parked, "connection", now.saturating_add(UNKNOWN_TENANT_AGAIN_MS))
        }
        ShelvedUntil::Connection => (ShelfState::Parked, "connection", now),
        ShelvedUntil::Person => (ShelfState::Dead, "person", now),
    };
    let unordered = shelving.reason == Reason::Paused
        && !accounts::is_paused(conn, tenant.as_ref(), shelving.account.as_deref()).await?;
    let due_at = if unordered {
        // A worker that shelves because of a pause may not have noticed yet that the pause is over. The pause of a
        // tenant that is being removed ends automatically.
        let over = removal::paused_until(conn, now, tenant.as_ref()).await?;
        due_at.min(over.unwrap_or(now.saturating_add(PAUSE_IS_OVER_MS)))
    } else {
        due_at
    };
    let sql = "INSERT INTO shelf (identity, generation, state, reason, detail, tenant_id, batch_id, account, \
               connection, waits_for, due_at, parks, failing_since, arrived_at, published_at, shelved_at, headers, body, \
               cause) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
               ON CONFLICT (identity) DO UPDATE SET generation = shelf.generation + 1, state = excluded.state, \
               reason = excluded.reason, detail = excluded.detail, account = excluded.account, \
               connection = excluded.connection, waits_for = excluded.waits_for, due_at = excluded.due_at, \
               parks = excluded.parks, failing_since = excluded.failing_since, shelved_at = excluded.shelved_at, \
               lease_until = NULL, holder = NULL, headers = excluded.headers, body = excluded.body, cause = excluded.cause \
               WHERE shelf.state <> 'dead' OR excluded.state = 'dead'";
    let bounds = vec![
        Bound::Text(identity),
        Bound::Text(state.name().into()),
        Bound::Text(shelving.reason.code().into()),
        Bound::MaybeText(shelving.detail.clone()),
        Bound::MaybeText(tenant.map(|t| t.as_str().to_owned())),
        Bound::MaybeText(batch.map(|b| b.as_str().to_owned())),
        Bound::MaybeText(shelving.account.clone()),
        Bound::MaybeText(shelving.connection.clone()),
        Bound::Text(waits_for.into()),
        Bound::Int(due_at),
        Bound::Int(i64::from(shelving.parks)),
        Bound::MaybeInt(shelving.failing_since),
        Bound::Int(shelving.arrived_at),
        Bound::MaybeInt(shelving.published_at),
        Bound::Int(now),
        Bound::Text(crate::batch::json_of(&shelving.headers)),
        Bound::Blob(shelving.body.clone()),
        Bound::Int(CauseId::of(shelving.reason.code(), shelving.detail.as_deref()).number()),
    ];
    sql::execute(conn, sql, bounds).await?;
    Ok(())
}

fn text_of(identity: &ShelfIdentity) -> String {
    match identity {
        ShelfIdentity::Batch(key, fingerprint) => format!("{key}/{fingerprint}"),
        ShelfIdentity::Raw(hash, ..) => format!("raw:{hash}"),
    }
}

/// Takes off the shelf what is parked there under identities; what is dead stays for a person. A row that another worker
/// is just changing stays as well: that worker finds out for itself that the batch is finished.
pub(in crate::store) async fn remove_parked(
    conn: &mut AnyConnection,
    identities: Vec<ShelfIdentity>,
) -> Result<(), StoreError> {
    if identities.is_empty() {
        return Ok(());
    }
    let rows: Vec<Value> = identities.iter().map(|identity| json!({"identity": text_of(identity)})).collect();
    sql::execute(conn, removal_statement(Dialect::of(conn)), vec![Bound::from(rows.as_slice())]).await.map(drop)
}

/// The statement of [`remove_parked`]. Each row is looked up by its identity: the cross join keeps SQLite, and the
/// expression PostgreSQL, from reading everything that is parked instead.
pub(in crate::store) fn removal_statement(dialect: Dialect) -> String {
    format!(
        "DELETE FROM shelf WHERE id IN (SELECT s.id FROM {} CROSS JOIN shelf s WHERE s.identity = r.identity \
         AND s.state || '' = 'parked' {})",
        dialect.rows(&[("identity", Kind::Text)]),
        dialect.skip_taken()
    )
}

/// Takes something off the shelf, unless it was put there again since.
pub(in crate::store) async fn remove(conn: &mut AnyConnection, id: i64, generation: i64) -> Result<(), StoreError> {
    let sql = "DELETE FROM shelf WHERE id = $1 AND generation = $2";
    sql::execute(conn, sql, vec![Bound::Int(id), Bound::Int(generation)]).await?;
    Ok(())
}

/// Keeps others from changing a row until the transaction ends; returns whether it is as the operator saw it and not
/// leased.
pub(in crate::store) async fn hold(
    conn: &mut AnyConnection,
    now: i64,
    operator_action: &OperatorAction,
) -> Result<bool, StoreError> {
    let sql = "UPDATE shelf SET generation = generation WHERE id = $1 AND generation = $2 \
               AND (lease_until IS NULL OR lease_until <= $3)";
    let bounds = vec![Bound::Int(operator_action.id.0), Bound::Int(operator_action.generation), Bound::Int(now)];
    Ok(sql::execute(conn, sql, bounds).await? == 1)
}

/// Carries out an operator's request for a row that is held. A message that has stopped workers is a suspect again.
pub(in crate::store) async fn handle(
    conn: &mut AnyConnection,
    now: i64,
    operator_action: &OperatorAction,
) -> Result<(), StoreError> {
    let id = Bound::Int(operator_action.id.0);
    match operator_action.action {
        Action::Discard => sql::execute(conn, "DELETE FROM shelf WHERE id = $1", vec![id]).await?,
        Action::Replay => {
            let sql = "UPDATE shelf SET generation = generation + 1, state = 'parked', waits_for = 'time', \
                       due_at = $2, parks = 0, failing_since = NULL, lease_until = NULL, holder = NULL, \
                       reason = CASE WHEN reason = 'crash_loop' THEN 'suspect' ELSE reason END, \
                       cause = CASE WHEN reason = 'crash_loop' THEN NULL ELSE cause END, \
                       tenant_id = COALESCE(tenant_id, $3), batch_id = COALESCE(batch_id, $4) WHERE id = $1";
            let batch = operator_action.batch.as_ref();
            let tenant = Bound::MaybeText(batch.map(|key| key.tenant.as_str().into()));
            let batch = Bound::MaybeText(batch.map(|key| key.batch.as_str().into()));
            sql::execute(conn, sql, vec![id, Bound::Int(now), tenant, batch]).await?
        }
    };
    Ok(())
}
