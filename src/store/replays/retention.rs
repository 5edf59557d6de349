//! Counts replays by state, and forgets those that ended long ago.

use std::time::Duration;

use super::super::sql::{self, Bound, Columns, Transaction};
use super::super::{Store, StoreError};
use super::ReplayState;

/// Counts replays by state.
pub(in crate::store) const COUNTS: &str = "SELECT state, COUNT(*) AS n FROM replays GROUP BY state ORDER BY state";

/// Counts paused replays of which a part has stopped.
pub(in crate::store) const STOPPED: &str = "SELECT COUNT(*) AS n FROM replays r WHERE r.state = 'paused' \
    AND EXISTS (SELECT 1 FROM replay_parts p WHERE p.replay = r.id AND p.why IS NOT NULL)";

/// Finds the oldest replay with no sign of life since `$1`: one that is over, or that was never started.
pub(in crate::store) const OLD: &str = "SELECT MIN(id) AS id FROM replays WHERE \
    (state IN ('done', 'cancelled') AND ended_at < $1) OR (state IN ('planning', 'planned') AND created_at < $1)";

/// Removes up to `$2` entries of the replay `$1`.
pub(in crate::store) const FORGET_ITEMS: &str = "DELETE FROM replay_items WHERE replay = $1 AND place IN \
    (SELECT i.place FROM replay_items i WHERE i.replay = $1 ORDER BY i.place LIMIT $2)";

impl Store {
    pub(super) async fn counts_of_replays(&self) -> Result<Vec<(ReplayState, u64)>, StoreError> {
        let rows = sql::fetch(&mut *self.reading().await?, COUNTS, vec![]).await?;
        let mut counts = Vec::new();
        for row in &rows {
            // A state that this version does not know is left to the newer version.
            if let Ok(state) = row.parsed("state") {
                counts.push((state, row.whole("n")?));
            }
        }
        Ok(counts)
    }

    pub(super) async fn count_of_stopped(&self) -> Result<u64, StoreError> {
        let rows = sql::fetch(&mut *self.reading().await?, STOPPED, vec![]).await?;
        rows.first().map_or(Ok(0), |row| row.whole("n"))
    }

    pub(super) async fn forget_old_replays(&self, retention: Duration, most: u32) -> Result<u64, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let before = transaction.now.saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX));
        let conn = transaction.conn()?;
        let rows = sql::fetch(conn, OLD, vec![Bound::Int(before)]).await?;
        let Some(id) = rows.first().map(|row| row.maybe_int("id")).transpose()?.flatten() else {
            transaction.roll_back().await?;
            return Ok(0);
        };
        let removed = sql::execute(conn, FORGET_ITEMS, vec![Bound::Int(id), Bound::Int(most.into())]).await?;
        if removed < u64::from(most) {
            sql::execute(conn, "DELETE FROM replay_parts WHERE replay = $1", vec![Bound::Int(id)]).await?;
            sql::execute(conn, "DELETE FROM replays WHERE id = $1", vec![Bound::Int(id)]).await?;
        }
        transaction.commit().await?;
        Ok(removed.max(1))
    }
}
