//! Reads how far undos have come, and what is kept for them of cases from before they were written.

use super::super::sql::{self, Bound, Columns};
use super::super::{Store, StoreError};
use super::rows::{of_batch, place_of};
use crate::batch::BatchKey;
use crate::batch::undo::{Former, Undo, UndoItem};

/// How many rows of an undo are read at once.
const PAGE: i64 = 1_000;

impl Store {
    /// Returns what people have taken back of a batch, the latest first, without its rows.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn undos(&self, key: &BatchKey) -> Result<Vec<Undo>, StoreError> {
        let sql = "SELECT number, kind, how, state_before, ended_at FROM undos \
                   WHERE tenant_id = $1 AND batch_id = $2 ORDER BY number DESC";
        let bounds = of_batch(key);
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        let undo = |row: &sqlx::any::AnyRow| {
            Ok(Undo {
                number: row.whole("number")?,
                kind: row.parsed("kind")?,
                how: row.json("how")?,
                before: row.parsed("state_before")?,
                items: Vec::new(),
                is_done: row.maybe_int("ended_at")?.is_some(),
            })
        };
        rows.iter().map(undo).collect()
    }

    /// Returns the rows of an undo, in their order.
    ///
    /// # Errors
    /// When the store does not answer, or a row cannot be read.
    pub async fn undo_items(&self, key: &BatchKey, number: u64) -> Result<Vec<UndoItem>, StoreError> {
        let sql = "SELECT place, body FROM undo_items WHERE tenant_id = $1 AND batch_id = $2 AND number = $3 \
                   AND place > $4 ORDER BY place LIMIT $5";
        let (mut items, mut last) = (Vec::new(), -1);
        loop {
            let mut bounds = place_of(key, number);
            bounds.extend([Bound::Int(last), Bound::Int(PAGE)]);
            // A connection for each page: no read lasts.
            let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
            for row in &rows {
                last = row.int("place")?;
                items.push(row.json("body")?);
            }
            if rows.len() < usize::try_from(PAGE).unwrap_or(usize::MAX) {
                return Ok(items);
            }
        }
    }

    /// Returns what is kept of the cases of a batch from before it wrote fields of theirs.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn former_values(&self, batch: &BatchKey) -> Result<Former, StoreError> {
        let sql = "SELECT epoch, body FROM former_values WHERE tenant_id = $1 AND batch_id = $2 ORDER BY epoch";
        let bounds = [batch.tenant.as_str(), batch.batch.as_str()].map(|name| Bound::Text(name.to_owned()));
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds.into()).await?;
        let bodies: Vec<Vec<u8>> = rows.iter().map(|row| row.blob("body")).collect::<Result<_, _>>()?;
        Ok(Former::read(bodies.iter().map(Vec::as_slice)))
    }
}
