//! Puts batches onto the shelf and takes them off it, in the transaction of the change that does so.

use serde_json::{Value, json};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::super::replays::{self, ReplayId};
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{StoreError, accounts, removal};
use super::{Action, OperatorAction, ShelfId, ShelfIdentity, ShelfState, ShelvedUntil, Shelving};
use crate::batch::Reason;
use crate::batch::cause::CauseId;
use crate::batch::ledger::BatchState;
use crate::batch::message::case_count::cases_of;

/// What is shelved because its tenant has no connection is due again so late, if the tenant gets none before.
const UNKNOWN_TENANT_AGAIN_MS: i64 = 86_400_000;
/// What is shelved over a pause that is over comes back so soon.
const PAUSE_IS_OVER_MS: i64 = 5_000;

/// What was put onto the shelf.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Put {
    /// When it is due, in milliseconds on the store's clock.
    pub(in crate::store) due_at: i64,
    /// The entry and the replay that has it under way, if one has.
    pub(in crate::store) replay: Option<(ShelfId, ReplayId)>,
}

/// The cases of larger messages are counted later, so that no transaction lasts long.
const COUNTED_AT_ONCE: usize = 64_000;

/// Puts something onto the shelf, in place of what is there under the same identity. A dead row stays dead until an
/// operator acts: a later copy that only waits must not take its place and then be dropped as a duplicate. A row that is
/// parked stays so when another copy turns out to be undeliverable, or has unreadable headers: a person has replayed it, and
/// its claim would not be continued. Returns what was put; `None` if the row stays as it is.
pub(in crate::store) async fn put(
    conn: &mut AnyConnection,
    now: i64,
    shelving: &Shelving,
) -> Result<Option<Put>, StoreError> {
    let identity = shelving.identity.to_string();
    let (tenant, batch) = shelving.identity.names();
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
    let unordered =
        shelving.reason == Reason::Paused && !accounts::is_paused(conn, tenant, shelving.account.as_deref()).await?;
    let due_at = if unordered {
        // A worker that shelves because of a pause may not have noticed yet that the pause is over. The pause of a
        // tenant that is being removed ends automatically.
        let over = removal::paused_until(conn, now, tenant).await?;
        due_at.min(over.unwrap_or(now.saturating_add(PAUSE_IS_OVER_MS)))
    } else {
        due_at
    };
    let sql = "INSERT INTO shelf (identity, generation, state, reason, detail, tenant_id, batch_id, account, \
               connection, waits_for, due_at, parks, failing_since, arrived_at, published_at, shelved_at, headers, body, \
               cause, cases) VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
               $19) \
               ON CONFLICT (identity) DO UPDATE SET generation = shelf.generation + 1, state = excluded.state, \
               reason = excluded.reason, detail = excluded.detail, account = excluded.account, \
               connection = excluded.connection, waits_for = excluded.waits_for, due_at = excluded.due_at, \
               parks = excluded.parks, failing_since = excluded.failing_since, shelved_at = excluded.shelved_at, \
               lease_until = NULL, holder = NULL, headers = excluded.headers, body = excluded.body, cause = excluded.cause, \
               cases = excluded.cases \
               WHERE (shelf.state <> 'dead' OR excluded.state = 'dead') \
               AND (shelf.state <> 'parked' OR excluded.reason NOT IN ('undeliverable', 'unreadable_headers')) RETURNING id, replay";
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
        Bound::MaybeInt((shelving.body.len() <= COUNTED_AT_ONCE).then(|| cases_of(&shelving.body))),
    ];
    let rows = sql::fetch(conn, sql, bounds).await?;
    let put = |row: &AnyRow| Ok(Put { due_at, replay: under_way(row)? });
    rows.first().map(put).transpose()
}

/// Returns an entry and the replay that has it under way, if one has.
fn under_way(row: &AnyRow) -> Result<Option<(ShelfId, ReplayId)>, StoreError> {
    let id = ShelfId(row.int("id")?);
    Ok(row.maybe_int("replay")?.map(|replay| (id, ReplayId(replay))))
}

/// Takes off the shelf what is parked there under identities; what is dead stays for a person. A row that another worker
/// is just changing stays as well: that worker finds out for itself that the batch is finished. Returns the identities of
/// those that a replay had under way, with the entry and the replay.
pub(in crate::store) async fn remove_parked(
    conn: &mut AnyConnection,
    identities: &[ShelfIdentity],
) -> Result<Vec<(String, ShelfId, ReplayId)>, StoreError> {
    if identities.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Value> = identities.iter().map(|identity| json!({"identity": identity.to_string()})).collect();
    let removed = sql::fetch(conn, removal_statement(Dialect::of(conn)), vec![Bound::from(rows.as_slice())]).await?;
    let in_replay = |row: &AnyRow| {
        let identity = row.text("identity")?;
        Ok(under_way(row)?.map(|(id, replay)| (identity, id, replay)))
    };
    removed.iter().filter_map(|row| in_replay(row).transpose()).collect()
}

/// The statement of [`remove_parked`]. Each row is looked up by its identity: the cross join keeps SQLite, and the
/// expression PostgreSQL, from reading everything that is parked instead.
pub(in crate::store) fn removal_statement(dialect: Dialect) -> String {
    format!(
        "DELETE FROM shelf WHERE id IN (SELECT s.id FROM {} CROSS JOIN shelf s WHERE s.identity = r.identity \
         AND s.state || '' = 'parked' {}) RETURNING id, identity, replay",
        dialect.rows(&[("identity", Kind::Text)]),
        dialect.skip_taken()
    )
}

/// Takes something off the shelf, unless it was put there again since. If a replay had it under way, returns the entry, the
/// replay, and the state in which the record of its batch is stored, if there is one that this version knows.
pub(in crate::store) async fn remove(
    conn: &mut AnyConnection,
    id: i64,
    generation: i64,
) -> Result<Option<(ShelfId, ReplayId, Option<BatchState>)>, StoreError> {
    let sql = "DELETE FROM shelf WHERE id = $1 AND generation = $2 RETURNING id, replay, CASE WHEN replay IS NOT NULL \
               THEN (SELECT b.state FROM batches b WHERE b.tenant_id = shelf.tenant_id AND b.batch_id = shelf.batch_id) \
               END AS batch_state";
    let rows = sql::fetch(conn, sql, vec![Bound::Int(id), Bound::Int(generation)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let state = row.maybe_text("batch_state")?.and_then(|state| state.parse().ok());
    Ok(under_way(row)?.map(|(entry, replay)| (entry, replay, state)))
}

/// Whether an entry is held for a change, and the replay that has it under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Hold {
    /// It is held.
    Held(Option<ReplayId>),
    /// It is not as the operator saw it, or a worker has leased it.
    Changed,
}

/// Keeps others from changing a row until the transaction ends, if it is as the operator saw it and not leased. One that a
/// replay starts also has to be as it was planned.
pub(in crate::store) async fn hold(
    conn: &mut AnyConnection,
    now: i64,
    operator_action: &OperatorAction,
) -> Result<Hold, StoreError> {
    let (planned, parameters) = match &operator_action.item {
        Some(item) => (replays::is_startable(Dialect::of(conn)), replays::startable(item).into()),
        None => (String::new(), vec![]),
    };
    let sql = format!(
        "UPDATE shelf SET generation = generation WHERE id = $1 AND generation = $2 \
         AND (lease_until IS NULL OR lease_until <= $3) {planned} RETURNING id, replay"
    );
    let mut bounds = vec![Bound::Int(operator_action.id.0), Bound::Int(operator_action.generation), Bound::Int(now)];
    bounds.extend(parameters);
    let rows = sql::fetch(conn, sql, bounds).await?;
    let held = |row| Ok(Hold::Held(under_way(row)?.map(|(_, replay)| replay)));
    rows.first().map_or(Ok(Hold::Changed), held)
}

/// Carries out an operator's request for a row that is held. A message that has stopped workers is a suspect again.
pub(in crate::store) async fn handle(
    conn: &mut AnyConnection,
    now: i64,
    operator_action: &OperatorAction,
) -> Result<(), StoreError> {
    let id = Bound::Int(operator_action.id.0);
    match operator_action.action {
        Action::Discard => drop(sql::execute(conn, "DELETE FROM shelf WHERE id = $1", vec![id]).await?),
        Action::Replay => {
            let sql = "UPDATE shelf SET generation = generation + 1, state = 'parked', waits_for = 'time', \
                       due_at = $2, parks = 0, failing_since = NULL, lease_until = NULL, holder = NULL, \
                       reason = CASE WHEN reason = 'crash_loop' THEN 'suspect' ELSE reason END, \
                       cause = CASE WHEN reason = 'crash_loop' THEN NULL ELSE cause END, \
                       tenant_id = COALESCE(tenant_id, $3), batch_id = COALESCE(batch_id, $4), \
                       person_epoch = person_epoch + 1, replay = $5 WHERE id = $1";
            let batch = operator_action.batch.as_ref();
            let tenant = Bound::MaybeText(batch.map(|key| key.tenant.as_str().into()));
            let batch = Bound::MaybeText(batch.map(|key| key.batch.as_str().into()));
            let replay = Bound::MaybeInt(operator_action.item.as_ref().map(|item| item.replay.0));
            sql::execute(conn, sql, vec![id, Bound::Int(now), tenant, batch, replay]).await?;
            if let Some(item) = &operator_action.item {
                replays::mark_started(conn, now, item).await?;
            }
        }
    }
    Ok(())
}
