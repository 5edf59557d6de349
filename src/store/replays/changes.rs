//! Stores what people do with a replay, if it is as they saw it.

use std::collections::BTreeMap;

use super::super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::super::{Store, StoreError, audit};
use super::{ReplayChange, ReplayId, ReplayState};
use crate::batch::replay::Window;

/// Gives the replay `$1` with the epoch `$2` the state `$3` because of `$4`, with the summary `$5`, at `$6`.
pub(in crate::store) const CHANGE: &str = "UPDATE replays SET state = $3, why = $4, summary = COALESCE($5, summary), \
    epoch = epoch + 1, holder = NULL, lease_until = NULL, \
    started_at = CASE WHEN $3 = 'running' THEN COALESCE(started_at, $6) ELSE started_at END, \
    ended_at = CASE WHEN $3 = 'cancelled' THEN $6 ELSE ended_at END WHERE id = $1 AND epoch = $2";

/// Marks the outcomes of the replay `$1` that no window has to know any more as counted, and returns their parts.
pub(in crate::store) fn count_all_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE replay_items {} SET state = 'counted' WHERE replay = $1 AND state = 'ended' RETURNING part",
        dialect.by_index("replay_items_ended")
    )
}
/// Adds `$3` to the counted outcomes of the part `$2` of the replay `$1`.
pub(in crate::store) const ADD_COUNTED: &str =
    "UPDATE replay_parts SET counted = counted + $3 WHERE replay = $1 AND part = $2";

impl Store {
    pub(super) async fn store_change(&self, change: ReplayChange) -> Result<bool, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let bounds = vec![
            Bound::Int(change.replay.0),
            Bound::Int(change.epoch),
            Bound::Text(change.state.name().into()),
            Bound::MaybeText(change.why),
            Bound::MaybeText(change.summary),
            Bound::Int(now),
        ];
        if sql::execute(conn, CHANGE, bounds).await? == 0 {
            transaction.roll_back().await?;
            return Ok(false);
        }
        if change.begins_again {
            count_all(conn, change.replay).await?;
            begin_again(conn, change.replay).await?;
        }
        audit::put(conn, now, change.audit.iter()).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// Counts the outcomes that no window has to know any more.
///
/// What is counted is what was marked: an outcome that is stored in the meantime is neither, and waits for a window.
async fn count_all(conn: &mut sqlx::AnyConnection, replay: ReplayId) -> Result<(), StoreError> {
    let mut counts = BTreeMap::new();
    for row in sql::fetch(conn, count_all_statement(Dialect::of(conn)), vec![Bound::Int(replay.0)]).await? {
        *counts.entry(row.int("part")?).or_insert(0) += 1;
    }
    for (part, count) in counts {
        sql::execute(conn, ADD_COUNTED, vec![Bound::Int(replay.0), Bound::Int(part), Bound::Int(count)]).await?;
    }
    Ok(())
}

/// Gives each part of the replay `$1` that is not finished the empty window `$2`. Parts of which nothing is known have it already.
pub(in crate::store) const BEGIN_AGAIN: &str = "UPDATE replay_parts SET known = $2, why = NULL WHERE replay = $1 \
    AND batches > counted + passed AND (known <> $2 OR why IS NOT NULL)";

/// Forgets the outcomes of all parts of a replay. What a part has left sizes its canary when it is read.
async fn begin_again(conn: &mut sqlx::AnyConnection, replay: ReplayId) -> Result<(), StoreError> {
    let empty = crate::batch::json_of(&Window::default());
    sql::execute(conn, BEGIN_AGAIN, vec![Bound::Int(replay.0), Bound::Text(empty)]).await.map(drop)
}

impl ReplayState {
    /// Returns whether a person may give a replay in this state the other one.
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Planning => matches!(next, Self::Planned | Self::Cancelled),
            Self::Planned => matches!(next, Self::Running | Self::Cancelled),
            Self::Running => matches!(next, Self::Paused | Self::Cancelled),
            Self::Paused => matches!(next, Self::Running | Self::Cancelled),
            Self::Done | Self::Cancelled => false,
        }
    }
}
