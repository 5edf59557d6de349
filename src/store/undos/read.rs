//! Reads how far undos have come, and what is kept for them of cases from before they were written.

use async_trait::async_trait;

use super::super::sql::{self, Bound, Columns};
use super::super::{Store, StoreError, written};
use super::UndoStore;
use super::rows::{of_batch, place_of};
use crate::batch::BatchKey;
use crate::batch::undo::{Former, Undo, UndoItem};
use crate::batch::written::SourceId;

/// How many rows of an undo are read at once.
const PAGE: i64 = 1_000;

#[async_trait]
impl UndoStore for Store {
    async fn undos(&self, key: &BatchKey) -> Result<Vec<Undo>, StoreError> {
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

    async fn undo_items(&self, key: &BatchKey, number: u64) -> Result<Vec<UndoItem>, StoreError> {
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

    async fn former_values(&self, batch: &BatchKey) -> Result<Former, StoreError> {
        let sql = "SELECT epoch, body FROM former_values WHERE tenant_id = $1 AND batch_id = $2 ORDER BY epoch";
        let bounds = [batch.tenant.as_str(), batch.batch.as_str()].map(|name| Bound::Text(name.to_owned()));
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds.into()).await?;
        let bodies: Vec<Vec<u8>> = rows.iter().map(|row| row.blob("body")).collect::<Result<_, _>>()?;
        Ok(Former::read(bodies.iter().map(Vec::as_slice)))
    }

    async fn latest_generation(&self, sources: &[SourceId]) -> Result<Option<(i64, BatchKey)>, StoreError> {
        let mut conn = self.reading().await?;
        let mut latest: Option<(i64, BatchKey)> = None;
        for source in sources {
            let found = written::latest(&mut conn, *source).await?;
            latest = found.into_iter().chain(latest).max_by_key(|(at, _)| *at);
        }
        Ok(latest)
    }

    async fn event_bodies(&self, key: &BatchKey) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT body FROM outbox WHERE subject = $1 ORDER BY created_at, event_id";
        let rows = sql::fetch(&mut *self.reading().await?, sql, vec![Bound::Text(key.to_string())]).await?;
        rows.iter().map(|row| row.text("body")).collect()
    }
}
