//! The storage trait of replays: every method is one call on the tables.

use std::time::Duration;

use async_trait::async_trait;
use testmo_courier::store::audit::AuditEntry;
use testmo_courier::store::replays::{
    EndedItem, NewItem, NewPart, NewReplay, ReplayChange, ReplayId, ReplayState, ReplayStep, RunningReplay, WaitingItem,
};
use testmo_courier::store::shelf::{ShelfId, Shelved};
use testmo_courier::store::{ReplayStore, StoreError};

use super::StoreOf;

#[async_trait]
impl ReplayStore for StoreOf {
    async fn lease_replays(
        &self,
        holder: &str,
        lease: Duration,
        most: u32,
        known: &[(ReplayId, i64)],
    ) -> Result<Vec<RunningReplay>, StoreError> {
        let (holder, known) = (holder.to_owned(), known.to_vec());
        self.ask("lease_replays", move |tables, now| tables.lease_replays(&holder, lease, most, &known, now)).await
    }

    async fn waiting_items(&self, replay: ReplayId, part: u32, most: u32) -> Result<Vec<WaitingItem>, StoreError> {
        self.ask("waiting_items", move |tables, _| tables.waiting_items(replay, part, most)).await
    }

    async fn ended_items(&self, replay: ReplayId, most: u32) -> Result<Vec<EndedItem>, StoreError> {
        self.ask("ended_items", move |tables, _| {
            tables.mark_counted_apart();
            tables.ended_items(replay, most)
        })
        .await
    }

    async fn end_lost_items(&self, replay: ReplayId, most: u32) -> Result<u64, StoreError> {
        self.ask("end_lost_items", move |tables, _| tables.end_lost_items(replay, most)).await
    }

    async fn advance(&self, step: ReplayStep) -> Result<bool, StoreError> {
        let (diary, worker) = (self.store.diary.clone(), self.worker);
        self.ask("advance", move |tables, now| {
            let done = tables.advance(&step, now);
            diary.note(|| format!("w{worker} advances replay {}: {:?} {done}", step.replay, step.state));
            done
        })
        .await
    }

    async fn entry(&self, id: ShelfId) -> Result<Option<Shelved>, StoreError> {
        self.ask("entry", move |tables, now| {
            let row = tables.shelf.get(&id.0)?.as_shelved(id.0, now);
            Some(Shelved { person_epoch: tables.believed_person_epoch(id, row.person_epoch), ..row })
        })
        .await
    }

    async fn create_replay(&self, replay: NewReplay, entry: AuditEntry) -> Result<ReplayId, StoreError> {
        self.ask("create_replay", move |tables, now| tables.create_replay(&replay, entry, now)).await
    }

    async fn add_items(&self, replay: ReplayId, parts: &[NewPart], items: &[NewItem]) -> Result<(), StoreError> {
        let (parts, items) = (parts.to_vec(), items.to_vec());
        self.ask("add_items", move |tables, _| tables.add_items(replay, &parts, &items)).await
    }

    async fn change_replay(&self, change: ReplayChange) -> Result<bool, StoreError> {
        let (diary, person) = (self.store.diary.clone(), self.worker);
        self.ask("change_replay", move |tables, now| {
            let done = tables.change_replay(&change, now);
            diary.note(|| format!("p{person} makes replay {} {}: {done}", change.replay, change.state.name()));
            done
        })
        .await
    }

    async fn replay_counts(&self) -> Result<Vec<(ReplayState, u64)>, StoreError> {
        self.ask("replay_counts", |tables, _| tables.replay_counts()).await
    }

    async fn stopped_replays(&self) -> Result<u64, StoreError> {
        self.ask("stopped_replays", |tables, _| tables.stopped_replays()).await
    }

    async fn forget_replays(&self, retention: Duration, most: u32) -> Result<u64, StoreError> {
        self.ask("forget_replays", move |tables, now| tables.forget_replays(retention, most, now)).await
    }
}
