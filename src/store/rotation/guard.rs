//! Keeps API keys out of the store that are encrypted with a master key that was replaced.

use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::connections::ConnectionRow;
use super::super::sql::Dialect;
use super::rows::{present_key, rotation};

/// Returns whether the API keys of a connection are encrypted with the store's master key, or the one that replaces it. Until
/// the transaction ends, no replacement does.
pub(in crate::store) async fn is_current(conn: &mut AnyConnection, row: &ConnectionRow) -> Result<bool, StoreError> {
    let lock = Dialect::of(conn).stay_as_is();
    let Some(present) = present_key(conn, lock).await? else { return Ok(true) };
    let keys = || [Some(&row.key), row.successor.as_ref().map(|next| &next.key)].into_iter().flatten();
    // A key without an id was encrypted before keys had one.
    let is_of = |id: &str| keys().all(|key| key.key_id.is_empty() || key.key_id == id || key.key_id == present);
    if is_of(&present) {
        return Ok(true);
    }
    Ok(rotation(conn, "").await?.is_some_and(|begun| is_of(&begun.wrapped.to)))
}
