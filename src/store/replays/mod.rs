//! Keeps replays: which entries of the shelf each of them covers, how far it has come, and what became of each entry.
//!
//! A person plans a replay, starts, pauses and cancels it. Any one worker carries it out under a lease. Every step is
//! accepted only while the replay is as its author saw it.

mod advance;
mod changes;
mod facts;
mod items;
mod lease;
mod list;
mod model;
mod planning;
mod retention;
mod settle;
mod started;

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use super::audit::AuditEntry;
use super::shelf::{ShelfId, Shelved};

#[cfg(test)]
pub(super) use self::changes::BEGIN_AGAIN;
#[cfg(test)]
pub(super) use self::items::{is_lost_statement, lost_statement};
pub use self::list::{ItemFilter, ReplayItem, ReplayRow};
pub use self::model::{
    EndedItem, ItemEnd, NewItem, NewPart, NewReplay, PartProgress, ReplayChange, ReplayState, ReplayStep,
    RunningReplay, WaitingItem,
};
pub(super) use self::settle::{ItemEnding, end_items, hand_over, is_startable, mark_started, startable};
pub use self::started::{ItemStart, ReplayId};

/// What a worker asks and stores to carry out replays, and what plans them.
#[async_trait]
pub trait ReplayStore: Send + Sync {
    /// Leases up to `most` running replays to `holder`: those that it holds already, and those that nobody holds. Of a replay
    /// with an epoch in `known` that nobody else can have held since, no parts are read.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn lease_replays(
        &self,
        holder: &str,
        lease: Duration,
        most: u32,
        known: &[(ReplayId, i64)],
    ) -> Result<Vec<RunningReplay>, StoreError>;

    /// Returns up to `most` entries of a part of a replay that are still to be started, in their order.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn waiting_items(&self, replay: ReplayId, part: u32, most: u32) -> Result<Vec<WaitingItem>, StoreError>;

    /// Returns up to `most` entries whose outcome is known and not counted yet.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn ended_items(&self, replay: ReplayId, most: u32) -> Result<Vec<EndedItem>, StoreError>;

    /// Ends up to `most` entries that were started and are no longer on the shelf with this replay, although nothing said
    /// what became of them; returns how many there were.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn end_lost_items(&self, replay: ReplayId, most: u32) -> Result<u64, StoreError>;

    /// Stores a step of the worker that holds a replay; returns whether it still holds it.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn advance(&self, step: ReplayStep) -> Result<bool, StoreError>;

    /// Returns an entry of the shelf with its message.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read the entry.
    async fn entry(&self, id: ShelfId) -> Result<Option<Shelved>, StoreError>;

    /// Stores a replay whose plan is not complete.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn create_replay(&self, replay: NewReplay, audit: AuditEntry) -> Result<ReplayId, StoreError>;

    /// Adds parts and entries to a plan that is not complete.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn add_items(&self, replay: ReplayId, parts: &[NewPart], items: &[NewItem]) -> Result<(), StoreError>;

    /// Changes the state of a replay that has the expected epoch; returns whether it had.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn change_replay(&self, change: ReplayChange) -> Result<bool, StoreError>;

    /// Counts replays by state; those in a state that this version does not know are left out.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn replay_counts(&self) -> Result<Vec<(ReplayState, u64)>, StoreError>;

    /// Counts the paused replays that stopped because too much failed again.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn stopped_replays(&self) -> Result<u64, StoreError>;

    /// Removes up to `most` entries of the oldest replay that ended, or was planned and not started, longer ago than
    /// `retention`, and the replay with the last of them; returns how much was removed, and 0 if there is no such replay.
    ///
    /// # Errors
    /// When the store does not answer; all of it may be removed then, or nothing.
    async fn forget_replays(&self, retention: Duration, most: u32) -> Result<u64, StoreError>;
}
