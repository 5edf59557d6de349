//! Decides what makes an entry due at once, outside of any replay.

use super::{NotReplayable, restart, subject};
use crate::store::ledger::Commit;
use crate::store::shelf::Shelved;
use crate::store::{ConnectionStore, LedgerStore, StoreError};

/// Returns what makes an entry due at once, and whether its tenant has no verified connection, so that it then waits for
/// one; nothing is stored yet. A worker takes messages of at most `most_bytes`.
///
/// # Errors
/// When the store does not answer.
pub async fn at_once(
    store: &(impl ConnectionStore + LedgerStore),
    row: &Shelved,
    most_bytes: usize,
) -> Result<Result<(Commit, bool), NotReplayable>, StoreError> {
    let subject = match subject(row, most_bytes) {
        Ok(subject) => subject,
        Err(why) => return Ok(Err(why)),
    };
    let connection = store.connection(&subject.key.tenant).await?;
    let (stored, _) = store.batch_at(&subject.key).await?;
    let account = connection.as_ref().map(|row| row.origin.as_str());
    let waits = connection.as_ref().is_none_or(|row| !row.is_verified());
    Ok(restart(row, &subject, stored, account).map(|change| (change, waits)))
}
