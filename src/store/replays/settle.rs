//! Notes what becomes of the entries that a replay has started, in the transaction that decides it.

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::shelf::ShelfId;
use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::{ItemStart, ReplayId};
use crate::batch::replay::ItemOutcome;

/// An entry that a replay had under way, and what became of it.
#[derive(Clone, Debug)]
pub(in crate::store) struct ItemEnding {
    pub(in crate::store) replay: ReplayId,
    pub(in crate::store) entry: ShelfId,
    pub(in crate::store) outcome: ItemOutcome,
    /// The code of the reason for which it is on the shelf again.
    pub(in crate::store) reason: Option<&'static str>,
    pub(in crate::store) detail: Option<String>,
}

/// The index of entries that have no outcome yet.
const BY_ENTRY: &str = "replay_items_by_entry";

const ENDING: [(&str, Kind); 5] = [
    ("replay", Kind::Int),
    ("entry", Kind::Int),
    ("outcome", Kind::Text),
    ("reason", Kind::Text),
    ("detail", Kind::Text),
];

/// Whether an entry can be started: the replay still runs as its holder saw it, nobody else has taken it over, and the entry
/// still waits in it. Part of a condition on `shelf`, with the parameters `$4` to `$8`.
///
/// A change of the replay waits until the start is stored, so that nothing is started after a pause or cancellation was
/// acknowledged. A transaction that changes a replay holds no row of the shelf or of a batch, so it never blocks a start that
/// blocks it.
pub(in crate::store) fn is_startable(dialect: Dialect) -> String {
    format!(
        "AND person_epoch = $4 AND replay IS NULL \
         AND EXISTS (SELECT 1 FROM replays p WHERE p.id = $5 AND p.epoch = $6 AND p.state = 'running' \
         AND p.holder = $8 {}) \
         AND EXISTS (SELECT 1 FROM replay_items i WHERE i.replay = $5 AND i.place = $7 AND i.state = 'waiting')",
        dialect.stay_as_is()
    )
}

/// Returns the parameters of [`is_startable`].
pub(in crate::store) fn startable(item: &ItemStart) -> [Bound; 5] {
    [
        Bound::Int(item.person_epoch),
        Bound::Int(item.replay.0),
        Bound::Int(item.epoch),
        Bound::Int(i64::try_from(item.place).unwrap_or(i64::MAX)),
        Bound::Text(item.holder.clone()),
    ]
}

/// Counts an entry as started, unless it was passed over in the meantime.
pub(in crate::store) async fn mark_started(
    conn: &mut AnyConnection,
    now: i64,
    item: &ItemStart,
) -> Result<(), StoreError> {
    let place = Bound::Int(i64::try_from(item.place).unwrap_or(i64::MAX));
    let sql = "UPDATE replay_items SET state = 'started', started_at = $3 WHERE replay = $1 AND place = $2 \
               AND state = 'waiting'";
    if sql::execute(conn, sql, vec![Bound::Int(item.replay.0), place, Bound::Int(now)]).await? == 0 {
        return Ok(());
    }
    let sql = "UPDATE replay_parts SET started = started + 1 WHERE replay = $1 AND part = $2";
    sql::execute(conn, sql, vec![Bound::Int(item.replay.0), Bound::Int(item.part.into())]).await.map(drop)
}

/// Stores what became of entries that were under way.
pub(in crate::store) async fn end_items(
    conn: &mut AnyConnection,
    now: i64,
    endings: &[ItemEnding],
) -> Result<(), StoreError> {
    if endings.is_empty() {
        return Ok(());
    }
    let row = |ending: &ItemEnding| {
        json!({"replay": ending.replay.0, "entry": ending.entry.0, "outcome": ending.outcome.name(),
               "reason": ending.reason, "detail": ending.detail})
    };
    let rows: Vec<Value> = endings.iter().map(row).collect();
    let dialect = Dialect::of(conn);
    let sql = format!(
        "UPDATE replay_items {} SET state = 'ended', outcome = r.outcome, outcome_reason = r.reason, \
         outcome_detail = r.detail, ended_at = $2 FROM {} WHERE replay_items.entry = r.entry \
         AND replay_items.replay = r.replay AND replay_items.ended_at IS NULL AND replay_items.state = 'started'",
        dialect.by_index(BY_ENTRY),
        dialect.rows(&ENDING)
    );
    sql::execute(conn, sql, vec![Bound::from(rows.as_slice()), Bound::Int(now)]).await?;
    // An entry that is still on the shelf can be part of another replay from now on.
    let entries: Vec<Value> = endings.iter().map(|ending| json!({"entry": ending.entry.0})).collect();
    let sql = format!(
        "UPDATE shelf SET replay = NULL FROM {} WHERE shelf.id = r.entry AND shelf.replay IS NOT NULL",
        dialect.rows(&[("entry", Kind::Int)])
    );
    sql::execute(conn, sql, vec![Bound::from(entries.as_slice())]).await.map(drop)
}

/// Passes a replay on to the entry that takes the place of one that it had under way.
pub(in crate::store) async fn hand_over(
    conn: &mut AnyConnection,
    replay: ReplayId,
    from: ShelfId,
    identity: String,
) -> Result<(), StoreError> {
    let sql = "UPDATE shelf SET replay = $1 WHERE identity = $2 AND replay IS NULL RETURNING id";
    let rows = sql::fetch(conn, sql, vec![Bound::Int(replay.0), Bound::Text(identity)]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let sql = format!(
        "UPDATE replay_items {} SET entry = $3 WHERE entry = $1 AND replay = $2 AND ended_at IS NULL",
        Dialect::of(conn).by_index(BY_ENTRY)
    );
    let bounds = vec![Bound::Int(from.0), Bound::Int(replay.0), Bound::Int(row.int("id")?)];
    sql::execute(conn, sql, bounds).await.map(drop)
}
