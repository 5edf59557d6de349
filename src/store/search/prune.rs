//! Removes from the search the batches that are no longer kept.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::super::sql::{self, Bound, Columns, Dialect, Kind, Transaction};
use super::super::{Store, StoreError};
use super::fill;
use super::model::milliseconds;

/// A round of pruning: the rows that are old enough when it begins, in steps.
#[derive(Clone, Debug)]
pub struct SearchRound {
    retention: Duration,
    /// The last row that was examined: when it was known, and its number.
    last: Option<(i64, i64)>,
    is_done: bool,
}

impl SearchRound {
    /// Returns a round that removes batches which were last known of longer than `retention` ago and are not kept.
    pub fn new(retention: Duration) -> Self {
        Self { retention, last: None, is_done: false }
    }

    /// Ends the round.
    pub(super) fn end(&mut self) {
        self.is_done = true;
    }

    /// Returns whether nothing is left to examine.
    pub fn is_done(&self) -> bool {
        self.is_done
    }
}

/// Examines the next old rows. One stays while its batch has details or is on the shelf.
pub(in crate::store) const EXAMINED: &str = "SELECT w.seq, w.known_at, CASE WHEN EXISTS (SELECT 1 FROM shelf s \
    WHERE w.shelf_id <> 0 AND s.id = w.shelf_id) OR EXISTS (SELECT 1 FROM shelf s WHERE w.shelf_id = 0 \
    AND s.tenant_id = w.tenant_id AND s.batch_id = w.batch_id) OR EXISTS (SELECT 1 FROM batches b WHERE w.shelf_id = 0 \
    AND b.tenant_id = w.tenant_id AND b.batch_id = w.batch_id AND b.epoch > 0 AND b.pruned_at IS NULL) THEN 1 ELSE 0 END \
    AS is_kept FROM search w WHERE w.known_at < $1 AND w.known_at >= $2 AND (w.known_at > $2 OR w.seq > $3) \
    ORDER BY w.known_at, w.seq LIMIT $4";

/// Lets no other worker change the search that has read it before.
const TAKE: &str = "UPDATE search_progress SET epoch = epoch + 1 WHERE id = 1";

pub(super) async fn prune(store: &Store, round: &mut SearchRound, most: u32) -> Result<u64, StoreError> {
    let mut transaction = Transaction::begin(&store.writers, &store.clock).await?;
    let before = transaction.now.saturating_sub(milliseconds(round.retention));
    let conn = transaction.conn()?;
    let (at, seq) = round.last.unwrap_or((i64::MIN, i64::MIN));
    sql::execute(conn, TAKE, vec![]).await?;
    let bounds = vec![Bound::Int(before), Bound::Int(at), Bound::Int(seq), Bound::Int(most.into())];
    let rows = sql::fetch(conn, EXAMINED, bounds).await?;
    let mut over = Vec::new();
    for row in &rows {
        if row.int("is_kept")? == 0 {
            over.push(row.int("seq")?);
        }
    }
    let last = rows.last().map(|row| Ok::<_, StoreError>((row.int("known_at")?, row.int("seq")?))).transpose()?;
    if over.is_empty() {
        transaction.roll_back().await?;
    } else {
        remove(conn, &over).await?;
        transaction.commit().await?;
    }
    round.last = last.or(round.last);
    round.is_done = rows.len() < usize::try_from(most).unwrap_or(usize::MAX);
    Ok(over.len() as u64)
}

async fn remove(conn: &mut AnyConnection, numbers: &[i64]) -> Result<(), StoreError> {
    let dialect = Dialect::of(conn);
    if dialect == Dialect::Sqlite {
        fill::unindex(conn, numbers).await?;
    }
    let sql = format!("DELETE FROM search WHERE seq IN (SELECT r.seq FROM {})", dialect.rows(&[("seq", Kind::Int)]));
    let numbers: Vec<Value> = numbers.iter().map(|seq| json!({"seq": seq})).collect();
    sql::execute(conn, sql, vec![Bound::from(numbers.as_slice())]).await.map(drop)
}
