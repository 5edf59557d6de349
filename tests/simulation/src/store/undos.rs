//! Keeps undos and what cases were before, as the real store does it.

use async_trait::async_trait;
use testmo_courier::batch::BatchKey;
use testmo_courier::batch::undo::{Former, Undo, UndoItem};
use testmo_courier::batch::written::SourceId;
use testmo_courier::store::StoreError;
use testmo_courier::store::ledger::Commit;
use testmo_courier::store::undos::UndoStore;

use super::StoreOf;
use super::tables::Tables;

impl Tables {
    /// Keeps the step of an undo, and what cases were before a batch wrote fields of theirs.
    pub(crate) fn keep_undo(&mut self, change: &Commit) {
        let Some(record) = change.batch.as_ref().map(|update| &update.record) else { return };
        if let Some(body) = &change.former {
            self.former.insert((record.key.clone(), record.epoch), body.clone());
        }
        let Some(step) = &change.undo else { return };
        if let Some(begin) = &step.begins {
            let (kind, how, before) = (begin.kind, begin.how.clone(), begin.before);
            let undo = Undo { number: step.number, kind, how, before, items: Vec::new(), is_done: false };
            self.undos.insert((record.key.clone(), step.number), undo);
        }
        let Some(undo) = self.undos.get_mut(&(record.key.clone(), step.number)) else { return };
        for (place, item) in &step.items {
            match undo.items.get_mut(*place as usize) {
                Some(stored) => *stored = item.clone(),
                None => undo.items.push(item.clone()),
            }
        }
        undo.is_done |= step.ends;
    }

    /// Returns the undos of a batch, the latest first.
    pub(crate) fn undos(&self, key: &BatchKey) -> Vec<Undo> {
        let of_batch = self.undos.range((key.clone(), 0)..=(key.clone(), u64::MAX));
        of_batch.rev().map(|(_, undo)| undo.clone()).collect()
    }

    fn latest_generation(&self, sources: &[SourceId]) -> Option<(i64, BatchKey)> {
        sources.iter().filter_map(|source| self.latest_of(*source)).max_by_key(|(at, _)| *at)
    }
}

#[async_trait]
impl UndoStore for StoreOf {
    async fn undos(&self, key: &BatchKey) -> Result<Vec<Undo>, StoreError> {
        let key = key.clone();
        let bare = |undo: Undo| Undo { items: Vec::new(), ..undo };
        self.ask("undos", move |tables, _| tables.undos(&key).into_iter().map(bare).collect()).await
    }

    async fn undo_items(&self, key: &BatchKey, number: u64) -> Result<Vec<UndoItem>, StoreError> {
        let place = (key.clone(), number);
        self.ask("undo_items", move |tables, _| {
            tables.undos.get(&place).map(|undo| undo.items.clone()).unwrap_or_default()
        })
        .await
    }

    async fn former_values(&self, batch: &BatchKey) -> Result<Former, StoreError> {
        let key = batch.clone();
        self.ask("former_values", move |tables, _| {
            let bodies = tables.former.range((key.clone(), 0)..=(key.clone(), u64::MAX));
            Former::read(bodies.map(|(_, body)| body.as_slice()))
        })
        .await
    }

    async fn latest_generation(&self, sources: &[SourceId]) -> Result<Option<(i64, BatchKey)>, StoreError> {
        let sources = sources.to_vec();
        self.ask("latest_generation", move |tables, _| tables.latest_generation(&sources)).await
    }

    async fn event_bodies(&self, key: &BatchKey) -> Result<Vec<String>, StoreError> {
        let key = key.to_string();
        self.ask("event_bodies", move |tables, _| tables.bodies_of(&key)).await
    }
}
