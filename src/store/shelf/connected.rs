//! Finds what was given up for want of a connection, once its tenant has one.

use super::super::sql::{self, Bound};
use super::super::{Store, StoreError};
use super::read::shelved;
use super::{ShelfId, Shelved};

/// Finds up to `$3` such rows behind the id `$2` at `$1`: for each connection by a range of an index, which has no other rows.
/// A cross join, since SQLite would otherwise begin with all that is dead.
pub(in crate::store) const CONNECTED_SINCE: &str = "SELECT * FROM shelf WHERE id IN (SELECT s.id FROM connections c \
    CROSS JOIN shelf s WHERE s.state = 'dead' AND s.tenant_id = c.tenant_id AND s.reason = 'unknown_tenant' AND s.id > $2 \
    AND (c.removing_until IS NULL OR c.removing_until <= $1) ORDER BY s.id LIMIT $3) ORDER BY id";

impl Store {
    /// As [`ShelfStore::connected_since`](super::ShelfStore::connected_since).
    pub(super) async fn given_up_but_connected(&self, after: ShelfId, most: u32) -> Result<Vec<Shelved>, StoreError> {
        let (mut conn, now) = self.reading_at().await?;
        let bounds = vec![Bound::Int(now), Bound::Int(after.0), Bound::Int(i64::from(most))];
        let rows = sql::fetch(&mut conn, CONNECTED_SINCE, bounds).await?;
        self.unreadable.skip(rows.iter().map(|row| shelved(row, now)))
    }
}
