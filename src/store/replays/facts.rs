//! Reads what a plan needs of many entries at once.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::super::sql::{self, Bound, Columns, Dialect, Kind};
use super::super::{Store, StoreError};
use super::ReplayId;
use crate::store::shelf::ShelfId;

/// Finds the replays that entries wait in or are under way in.
pub(in crate::store) fn of_entries_statement(dialect: Dialect) -> String {
    format!(
        "SELECT i.entry AS entry, MIN(i.replay) AS replay FROM {} CROSS JOIN replay_items i CROSS JOIN replays p \
         WHERE i.entry = r.entry_id AND i.ended_at IS NULL AND p.id = i.replay AND p.state IN ('running', 'paused') \
         GROUP BY i.entry",
        dialect.rows(&[("entry_id", Kind::Int)])
    )
}

/// Reads how long the last requests to the account `$1` took that created cases.
pub(in crate::store) const REQUEST_TIMES: &str = "SELECT claimed_at, ended_at FROM pushes WHERE account = $1 \
    AND last_id IS NOT NULL ORDER BY last_id DESC LIMIT 20";

impl Store {
    /// Returns the highest id on the shelf, if anything is there.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn highest_on_shelf(&self) -> Result<Option<ShelfId>, StoreError> {
        let rows = sql::fetch(&mut *self.reading().await?, "SELECT MAX(id) AS id FROM shelf", vec![]).await?;
        rows.first().map_or(Ok(None), |row| Ok(row.maybe_int("id")?.map(ShelfId)))
    }

    /// Returns the replay of each entry that waits in a running or paused one, or is under way in it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn replays_of(&self, entries: &[ShelfId]) -> Result<HashMap<ShelfId, ReplayId>, StoreError> {
        let ids: HashSet<i64> = entries.iter().map(|id| id.0).collect();
        let rows: Vec<Value> = ids.into_iter().map(|id| json!({"entry_id": id})).collect();
        let mut conn = self.reading().await?;
        let sql = of_entries_statement(Dialect::of(&conn));
        let rows = sql::fetch(&mut conn, sql, vec![Bound::from(rows.as_slice())]).await?;
        rows.iter().map(|row| Ok((ShelfId(row.int("entry")?), ReplayId(row.int("replay")?)))).collect()
    }

    /// Returns how many milliseconds each of the last requests took that created cases in an account.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn request_times(&self, account: &str) -> Result<Vec<i64>, StoreError> {
        let bounds = vec![Bound::Text(account.to_owned())];
        let mut times = Vec::new();
        for row in sql::fetch(&mut *self.reading().await?, REQUEST_TIMES, bounds).await? {
            if let Some(ended) = row.maybe_int("ended_at")? {
                times.push((ended - row.int("claimed_at")?).max(1));
            }
        }
        Ok(times)
    }
}
