//! Marks a store that no worker may use: one that is only partly restored, and one that was moved elsewhere.

use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns};

/// The fact that holds the mark. It is never part of a backup.
pub(in crate::store) const MARK: &str = "not_to_be_used";

/// Why a store is not to be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::store) enum Mark {
    /// Rows are being put into it.
    Filling,
    /// Its content was moved to this place.
    Moved(String),
}

/// Returns the mark of a store that has tables.
pub(in crate::store) async fn read(conn: &mut AnyConnection) -> Result<Option<Mark>, StoreError> {
    let rows = sql::fetch(conn, "SELECT value FROM facts WHERE name = $1", vec![Bound::Text(MARK.into())]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    serde_json::from_str(&row.text("value")?).map(Some).map_err(|_| StoreError::malformed("value"))
}

/// Marks a store.
pub(in crate::store) async fn write(conn: &mut AnyConnection, mark: &Mark) -> Result<(), StoreError> {
    let sql = "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
    sql::execute(conn, sql, vec![Bound::Text(MARK.into()), Bound::Text(crate::batch::json_of(mark))]).await.map(drop)
}

/// Removes the mark.
pub(in crate::store) async fn remove(conn: &mut AnyConnection) -> Result<(), StoreError> {
    sql::execute(conn, "DELETE FROM facts WHERE name = $1", vec![Bound::Text(MARK.into())]).await.map(drop)
}

/// Checks that a store may be used.
pub(in crate::store) async fn require_usable(conn: &mut AnyConnection, place: &str) -> Result<(), StoreError> {
    match read(conn).await? {
        None => Ok(()),
        Some(Mark::Filling) => Err(StoreError::Incomplete(place.into())),
        Some(Mark::Moved(to)) => Err(StoreError::Moved { place: place.into(), to }),
    }
}
