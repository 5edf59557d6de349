//! How long those who use an SQLite file wait for each other.

use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe};

/// How long a statement waits for another process that writes to the file, such as a command.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Sets how long statements of a connection wait for another process that writes to the file.
pub(super) async fn wait_for_lock(conn: &mut AnyConnection, wait: Duration) -> Result<(), sqlx::Error> {
    let sql = format!("PRAGMA busy_timeout = {}", wait.as_millis());
    sqlx::query(AssertSqlSafe(sql)).execute(conn).await.map(drop)
}
