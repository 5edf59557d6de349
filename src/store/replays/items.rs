//! Reads the entries of a replay that are to be started, and those whose outcome is to be counted.

use sqlx::any::AnyRow;

use super::super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::super::{Store, StoreError};
use super::{EndedItem, ReplayId, WaitingItem};
use crate::store::shelf::ShelfId;

/// Reads up to `$3` waiting entries of the part `$2` of the replay `$1`.
pub(in crate::store) fn waiting_statement(dialect: Dialect) -> String {
    format!(
        "SELECT place, entry, identity, person_epoch FROM replay_items {} \
         WHERE replay = $1 AND part = $2 AND state = 'waiting' ORDER BY place LIMIT $3",
        dialect.by_index("replay_items_waiting")
    )
}

/// Reads up to `$2` entries of the replay `$1` whose outcome is not counted yet.
pub(in crate::store) fn ended_statement(dialect: Dialect) -> String {
    format!(
        "SELECT place, part, outcome, outcome_reason FROM replay_items {} \
         WHERE replay = $1 AND state = 'ended' ORDER BY place LIMIT $2",
        dialect.by_index("replay_items_ended")
    )
}

/// Finds a started entry of the replay `$1` that it no longer has on the shelf.
pub(in crate::store) fn is_lost_statement(dialect: Dialect) -> String {
    format!("SELECT i.place {} LIMIT 1", lost(dialect))
}

/// What is started in the replay `$1` and no longer on the shelf with it.
fn lost(dialect: Dialect) -> String {
    format!(
        "FROM replay_items i {} WHERE i.replay = $1 AND i.state = 'started' AND NOT EXISTS (SELECT 1 FROM shelf s \
         WHERE s.id = i.entry AND s.replay = $1)",
        dialect.by_index("replay_items_started")
    )
}

/// Ends up to `$2` started entries of the replay `$1` that it no longer has on the shelf, at `$3`.
pub(in crate::store) fn lost_statement(dialect: Dialect) -> String {
    format!(
        "UPDATE replay_items SET state = 'ended', outcome = 'changed', ended_at = $3 \
         WHERE replay = $1 AND state = 'started' AND place IN (SELECT i.place {} ORDER BY i.place LIMIT $2)",
        lost(dialect)
    )
}

impl Store {
    pub(super) async fn waiting_in(
        &self,
        replay: ReplayId,
        part: u32,
        most: u32,
    ) -> Result<Vec<WaitingItem>, StoreError> {
        let bounds = vec![Bound::Int(replay.0), Bound::Int(part.into()), Bound::Int(most.into())];
        let mut conn = self.reading().await?;
        let sql = waiting_statement(Dialect::of(&conn));
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        let item = |row: &AnyRow| {
            Ok(WaitingItem {
                place: row.whole("place")?,
                entry: ShelfId(row.int("entry")?),
                identity: row.text("identity")?,
                person_epoch: row.int("person_epoch")?,
            })
        };
        rows.iter().map(item).collect()
    }

    pub(super) async fn ended(&self, replay: ReplayId, most: u32) -> Result<Vec<EndedItem>, StoreError> {
        let bounds = vec![Bound::Int(replay.0), Bound::Int(most.into())];
        let mut conn = self.reading().await?;
        let sql = ended_statement(Dialect::of(&conn));
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        let item = |row: &AnyRow| {
            Ok(EndedItem {
                place: row.whole("place")?,
                part: row.whole("part")?,
                outcome: row.parsed("outcome")?,
                reason: row.maybe_text("outcome_reason")?,
            })
        };
        rows.iter().map(item).collect()
    }

    pub(super) async fn end_lost(&self, replay: ReplayId, most: u32) -> Result<u64, StoreError> {
        // There are seldom any, and everything that is to be stored waits for a transaction that finds none.
        let mut conn = self.reading().await?;
        let sql = is_lost_statement(Dialect::of(&conn));
        if sql::fetch(&mut conn, sql, vec![Bound::Int(replay.0)]).await?.is_empty() {
            return Ok(0);
        }
        drop(conn);
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let bounds = vec![Bound::Int(replay.0), Bound::Int(most.into()), Bound::Int(transaction.now)];
        let conn = transaction.conn()?;
        let ended = sql::execute(conn, lost_statement(Dialect::of(conn)), bounds).await?;
        transaction.commit().await?;
        Ok(ended)
    }
}
