//! Notes what a change means for entries of the shelf that a replay has under way.

use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::replays::{self, ItemEnding, ReplayId};
use super::super::shelf::{Action, ShelfId, ShelvedUntil};
use super::Commit;
use crate::batch::ledger::BatchState;
use crate::batch::replay::ItemOutcome;

/// What a transaction means for entries that replays have under way.
#[derive(Default)]
pub(super) struct Replayed {
    endings: Vec<ItemEnding>,
    moved: Vec<(ReplayId, ShelfId, String)>,
}

impl Replayed {
    /// Notes that a change took an entry off the shelf whose batch is stored in the state `before`.
    pub(super) fn left(&mut self, change: &Commit, (entry, replay): (ShelfId, ReplayId), before: Option<BatchState>) {
        match (outcome(change, before), &change.shelve) {
            (Some(outcome), _) => self.end(change, outcome, entry, replay),
            (None, Some(shelving)) => self.moved.push((replay, entry, shelving.identity.to_string())),
            (None, None) => {}
        }
    }

    /// Notes that a change put an entry onto the shelf that was there already.
    pub(super) fn put(&mut self, change: &Commit, (entry, replay): (ShelfId, ReplayId)) {
        if let Some(outcome) = outcome(change, None) {
            self.end(change, outcome, entry, replay);
        }
    }

    /// Notes what a person, or another replay, did with an entry.
    pub(super) fn acted(&mut self, change: &Commit, entry: ShelfId, replay: ReplayId, action: Action) {
        let outcome = match action {
            Action::Discard => ItemOutcome::Discarded,
            Action::Replay => ItemOutcome::Changed,
        };
        self.end(change, outcome, entry, replay);
    }

    fn end(&mut self, change: &Commit, outcome: ItemOutcome, entry: ShelfId, replay: ReplayId) {
        let (reason, detail) = match &change.shelve {
            Some(shelving) => (Some(shelving.reason.code()), shelving.detail.clone()),
            None => (None, None),
        };
        self.endings.push(ItemEnding { replay, entry, outcome, reason, detail });
    }

    /// Stores what was noted.
    pub(super) async fn store(self, conn: &mut AnyConnection, now: i64) -> Result<(), StoreError> {
        for (replay, from, identity) in self.moved {
            replays::hand_over(conn, replay, from, identity).await?;
        }
        replays::end_items(conn, now, &self.endings).await
    }
}

/// Returns what became of the batch of a change, unless it is still under way.
fn outcome(change: &Commit, before: Option<BatchState>) -> Option<ItemOutcome> {
    let record = change.batch.as_ref().map(|update| update.record.state);
    let shelved = change.shelve.as_ref().map(|row| (row.reason, row.until == ShelvedUntil::Person));
    ItemOutcome::of(record, shelved, before)
}
