//! Reads what people need to plan and change replays, as the real store does.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use testmo_courier::app::replays::PlanStore;
use testmo_courier::app::shelf::{EntryName, SelectionError};
use testmo_courier::batch::cause::CauseId;
use testmo_courier::batch::{BatchId, BatchKey};
use testmo_courier::store::StoreError;
use testmo_courier::store::ledger::StoredBatch;
use testmo_courier::store::replays::{ReplayId, ReplayRow, ReplayState};
use testmo_courier::store::shelf::{ShelfFilter, ShelfId, ShelfIdentity, Shelved, Shelving};

use super::StoreOf;
use super::tables::{ShelfRow, Tables, tenant_of};

impl Tables {
    fn ids_of(&self, name: &EntryName) -> Vec<ShelfId> {
        let is_meant = |id: i64, row: &ShelfRow| match (name, &row.content.identity) {
            (EntryName::Id(meant), _) => meant.0 == id,
            (EntryName::Batch(key), ShelfIdentity::Batch(of, _)) => of == key,
            (EntryName::Batch(key), ShelfIdentity::Raw(_, tenant, batch)) => {
                tenant.as_ref() == Some(&key.tenant) && batch.as_ref() == Some(&key.batch)
            }
            (EntryName::Message(digits), ShelfIdentity::Raw(hash, ..)) => hash.starts_with(digits.as_str()),
            (EntryName::Message(_), ShelfIdentity::Batch(..)) => false,
        };
        self.shelf.iter().filter(|(id, row)| is_meant(**id, row)).map(|(id, _)| ShelfId(*id)).collect()
    }

    fn heads(
        &self,
        filter: &ShelfFilter,
        after: Option<(i64, i64)>,
        most: u32,
        now: i64,
    ) -> (Vec<Shelved>, Option<(i64, i64)>) {
        let place = |(id, row): &(&i64, &ShelfRow)| (row.content.arrived_at, **id);
        let mut meant: Vec<(&i64, &ShelfRow)> = self.shelf.iter().filter(|(_, row)| matches(filter, row)).collect();
        meant.sort_by_key(place);
        meant.retain(|row| after.is_none_or(|after| place(row) > after));
        meant.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let end = meant.last().map(place);
        let head = |(id, row): (&i64, &ShelfRow)| {
            let whole = row.as_shelved(*id, now);
            Shelved { content: Shelving { body: Arc::default(), ..whole.content }, ..whole }
        };
        (meant.into_iter().map(head).collect(), end)
    }

    fn replays_of(&self, entries: &[ShelfId]) -> HashMap<ShelfId, ReplayId> {
        let has_begun = |state| matches!(state, ReplayState::Running | ReplayState::Paused);
        let begun = self.replays.iter().filter(|(_, replay)| has_begun(replay.state));
        let items = begun.flat_map(|(id, replay)| replay.items.values().map(move |item| (*id, item)));
        let open = items.filter(|(_, item)| item.outcome.is_none() && entries.contains(&item.entry));
        // The first one counts.
        open.collect::<Vec<_>>().into_iter().rev().map(|(id, item)| (item.entry, id)).collect()
    }

    pub(crate) fn replay_row(&self, id: ReplayId) -> Option<ReplayRow> {
        let replay = self.replays.get(&id)?;
        let new = replay.new.clone();
        Some(ReplayRow {
            id,
            epoch: replay.epoch,
            state: Some(replay.state),
            name: new.name,
            reason: new.reason,
            selection: new.selection,
            owner: new.owner,
            per_minute: new.per_minute,
            most: new.most,
            unchanged_too: new.unchanged_too,
            why: replay.why.clone(),
            summary: replay.summary.clone(),
            created_at: replay.created_at,
            started_at: None,
            ended_at: replay.ended_at,
        })
    }
}

fn matches(filter: &ShelfFilter, row: &ShelfRow) -> bool {
    let ShelfFilter { tenant, reason, state, batch, message_id, cause, since, until } = filter;
    let content = &row.content;
    let batch_of = |identity: &ShelfIdentity| -> Option<BatchId> {
        match identity {
            ShelfIdentity::Batch(key, _) => Some(key.batch.clone()),
            ShelfIdentity::Raw(_, _, batch) => batch.clone(),
        }
    };
    tenant.as_ref().is_none_or(|tenant| tenant_of(&content.identity) == Some(tenant))
        && reason.is_none_or(|reason| content.reason == reason)
        && state.is_none_or(|state| row.state == state)
        && batch.as_ref().is_none_or(|batch| batch_of(&content.identity).as_ref() == Some(batch))
        && message_id.is_none()
        && cause.is_none_or(|cause| CauseId::of(content.reason.code(), content.detail.as_deref()) == cause)
        && since.is_none_or(|since| row.shelved_at >= since)
        && until.is_none_or(|until| row.shelved_at < until)
}

#[async_trait]
impl PlanStore for StoreOf {
    async fn named(&self, names: &[EntryName]) -> Result<Vec<ShelfId>, SelectionError> {
        let mut ids: Vec<ShelfId> = Vec::new();
        for name in names {
            let meant = name.clone();
            let found = self.ask("named", move |tables, _| tables.ids_of(&meant)).await?;
            if found.is_empty() {
                return Err(SelectionError::NotOnShelf(name.clone()));
            }
            ids.extend(found.into_iter().filter(|id| !ids.contains(id)).collect::<Vec<_>>());
        }
        Ok(ids)
    }

    async fn highest_on_shelf(&self) -> Result<Option<ShelfId>, StoreError> {
        self.ask("highest_on_shelf", |tables, _| tables.shelf.last_key_value().map(|(id, _)| ShelfId(*id))).await
    }

    async fn shelf_heads(
        &self,
        filter: &ShelfFilter,
        after: Option<(i64, i64)>,
        most: u32,
    ) -> Result<(Vec<Shelved>, Option<(i64, i64)>), StoreError> {
        let filter = filter.clone();
        self.ask("shelf_heads", move |tables, now| tables.heads(&filter, after, most, now)).await
    }

    async fn batches_of(&self, keys: &HashSet<BatchKey>) -> Result<HashMap<BatchKey, Option<StoredBatch>>, StoreError> {
        let keys = keys.clone();
        let stored = move |tables: &mut Tables, _| {
            let stored = keys.into_iter().filter_map(|key| Some((key.clone(), Some(tables.batch(&key)?))));
            stored.collect()
        };
        self.ask("batches_of", stored).await
    }

    async fn replays_of(&self, entries: &[ShelfId]) -> Result<HashMap<ShelfId, ReplayId>, StoreError> {
        let entries = entries.to_vec();
        self.ask("replays_of", move |tables, _| tables.replays_of(&entries)).await
    }

    /// How long requests took is not kept in memory.
    async fn request_times(&self, _: &str) -> Result<Vec<i64>, StoreError> {
        Ok(Vec::new())
    }

    async fn replay(&self, id: ReplayId) -> Result<Option<ReplayRow>, StoreError> {
        self.ask("replay", move |tables, _| tables.replay_row(id)).await
    }
}
