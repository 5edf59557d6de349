//! Plans the replay of several entries of the shelf that are due at once.

use super::plan::{Decision, NotReplayable, Plan};
use crate::replay::{restart, subject};
use crate::store::shelf::{ShelfId, Shelved};
use crate::store::{ConnectionStore, Store, StoreError};

/// Plans the replay of entries; a worker takes messages of at most `most_bytes`.
///
/// # Errors
/// When the store does not answer.
pub async fn plan(store: &Store, ids: &[ShelfId], most_bytes: usize) -> Result<Plan, StoreError> {
    Plan::of(store, ids, async |row: &Shelved| decide(store, row, most_bytes).await).await
}

/// Decides what replaying an entry stores; nothing is stored yet.
///
/// # Errors
/// When the store does not answer.
pub async fn decide(
    store: &Store,
    row: &Shelved,
    most_bytes: usize,
) -> Result<Result<Decision, NotReplayable>, StoreError> {
    let subject = match subject(row, most_bytes) {
        Ok(subject) => subject,
        Err(why) => return Ok(Err(why)),
    };
    let connection = store.connection(&subject.key.tenant).await?;
    let stored = store.batch(&subject.key).await?;
    let account = connection.as_ref().map(|row| row.origin.as_str());
    let waits = connection.as_ref().is_none_or(|row| !row.is_verified());
    Ok(restart(row, &subject, stored, account).map(|change| Decision { change, waits }))
}
