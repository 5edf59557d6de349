//! Keeps parked and dead batches: those that are retried automatically, and those that wait for an operator.

mod ages;
mod case_counts;
mod conditions;
mod connected;
mod edited;
mod groups;
mod held;
mod lease;
mod list;
mod model;
mod notes;
mod read;
mod row;
mod waiting;

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::batch::TenantId;

#[cfg(test)]
pub(super) use self::ages::{OLDEST, failing_statement};
#[cfg(test)]
pub(super) use self::case_counts::{UNCOUNTED, bodies_statement, counting_statement};
pub use self::conditions::ShelfFilter;
#[cfg(test)]
pub(super) use self::connected::CONNECTED_SINCE;
pub(super) use self::edited::{hold_edited, put_edited};
pub use self::groups::{CauseFilter, CauseSample, CauseShare};
#[cfg(test)]
pub(super) use self::groups::{STEP_END, WITHOUT_CAUSE, filling_statement, samples_statement, shares_statement};
pub use self::held::Held;
#[cfg(test)]
pub(super) use self::held::{held_statement, holders_statement};
#[cfg(test)]
pub(super) use self::lease::{COUNTS, LEASE_SUSPECT, lease_statement, shed_statement, tenants_statement};
#[cfg(test)]
pub(super) use self::list::{Order, page_statement, totals_statement};
pub use self::list::{Place, ShelfTotal};
pub use self::model::{
    Action, DueTenant, EditedMessage, OperatorAction, RAW_HEADERS, ShelfAge, ShelfAges, ShelfCount, ShelfId,
    ShelfIdentity, ShelfState, Shelved, ShelvedUntil, Shelving,
};
pub use self::notes::CauseNote;
#[cfg(test)]
pub(super) use self::notes::notes_statement;
pub(super) use self::read::shelved;
#[cfg(test)]
pub(super) use self::row::removal_statement;
pub(super) use self::row::{Hold, handle, hold, put, remove, remove_parked};
pub use self::waiting::Waiting;
#[cfg(test)]
pub(super) use self::waiting::waiting_statement;

/// What a worker takes from the shelf.
#[async_trait]
pub trait ShelfStore: Send + Sync {
    /// Returns up to `most` tenants with parked batches, those that have waited longest first.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn due_tenants(&self, most: u32) -> Result<Vec<DueTenant>, StoreError>;

    /// Leases parked batches that are due to `holder`: for each tenant at most the number asked for, in order of arrival
    /// among the thousand that have been due longest. No more are leased once their bodies have `most_bytes` in all.
    ///
    /// # Errors
    /// When the store does not answer; batches that were leased come back when their lease ends.
    async fn lease_due(
        &self,
        holder: &str,
        lease: Duration,
        asks: &[(TenantId, u32)],
        most_bytes: usize,
    ) -> Result<Vec<Shelved>, StoreError>;

    /// Leases to `holder` the suspect that has been due longest, if no other suspect is leased by any worker. Its `parks`
    /// count how often it was tried alone.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn lease_suspect(&self, holder: &str, lease: Duration) -> Result<Option<Shelved>, StoreError>;

    /// Gives back rows (id and generation) that were leased but not started; a suspect among them was not tried.
    ///
    /// # Errors
    /// When the store does not answer; the leases then run out.
    async fn release(&self, leases: &[(ShelfId, i64)]) -> Result<(), StoreError>;

    /// Gives back a leased row (id and generation) for which nothing is being done; it is due after `wait`. A suspect was
    /// not tried.
    ///
    /// # Errors
    /// When the store does not answer; the lease then runs out.
    async fn postpone_row(&self, id: ShelfId, generation: i64, wait: Duration) -> Result<(), StoreError>;

    /// Returns up to `most` tenants with the most batches that wait for room in a worker, and how many each has.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn shed_counts(&self, most: u32) -> Result<Vec<(TenantId, u64)>, StoreError>;

    /// Counts what is on the shelf, by state and reason.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn shelf_counts(&self) -> Result<Vec<ShelfCount>, StoreError>;

    /// Returns when the oldest batches on the shelf arrived, and since when batches have been failing.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn shelf_ages(&self) -> Result<ShelfAges, StoreError>;

    /// Returns up to `most` dead batches behind an id, in the order of their ids, that were given up for want of a connection
    /// and whose tenant has one now.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn connected_since(&self, after: ShelfId, most: u32) -> Result<Vec<Shelved>, StoreError>;

    /// Computes the cause of up to `most` entries that an earlier version shelved, and returns how many there were.
    ///
    /// # Errors
    /// When the store does not answer; none or all of them may have their cause then.
    async fn fill_causes(&self, most: u32) -> Result<u64, StoreError>;

    /// Counts the cases of up to `most` entries that an earlier version shelved, and returns whether there may be more.
    ///
    /// # Errors
    /// When the store does not answer; none or all of them may be counted then.
    async fn count_cases(&self, most: u32) -> Result<bool, StoreError>;
}
