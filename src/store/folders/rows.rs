//! Reads and changes the rows of folders and of the claims for them.

use sqlx::AnyConnection;

use super::super::StoreError;
use super::super::sql::{self, Bound, Columns, Dialect};
use super::{CreateRequests, NewFolder};
use crate::batch::folded_folder_name;

/// What is stored of one folder.
#[derive(Debug, Default)]
pub(super) struct StoredFolder {
    pub(super) id: Option<u64>,
    pub(super) requests: CreateRequests,
}

/// Whether a create request was counted under a claim that is still its holder's; `None` where it is not. The claim is
/// kept from others until the transaction ends.
pub(super) async fn counted(
    conn: &mut AnyConnection,
    folder: &NewFolder,
    holder: &str,
    now: i64,
) -> Result<Option<bool>, StoreError> {
    let sql = format!(
        "SELECT counted FROM folder_claims WHERE {KEY} AND holder = $5 AND lease_until > $6 {}",
        Dialect::of(conn).keep()
    );
    let mut bounds = key_of(folder);
    bounds.extend([Bound::Text(holder.into()), Bound::Int(now)]);
    let rows = sql::fetch(conn, sql, bounds).await?;
    rows.first().map(|row| Ok(row.int("counted")? != 0)).transpose()
}

pub(super) async fn read(conn: &mut AnyConnection, folder: &NewFolder) -> Result<StoredFolder, StoreError> {
    let sql = format!("SELECT folder_id, requests FROM folders WHERE {KEY} {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, sql, key_of(folder)).await?;
    let Some(row) = rows.first() else { return Ok(StoredFolder::default()) };
    let stored = || Ok(StoredFolder { id: row.maybe_whole("folder_id")?, requests: row.json("requests")? });
    stored().map_err(|error| in_row(error, folder))
}

pub(super) fn in_row(error: StoreError, folder: &NewFolder) -> StoreError {
    error.in_row("folders", || format!("{} {} {} {}", folder.account, folder.project, folder.parent, folder.name))
}

pub(super) async fn keep_requests(
    conn: &mut AnyConnection,
    folder: &NewFolder,
    requests: &CreateRequests,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO folders (account, project_id, parent_id, name, requests) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (account, project_id, parent_id, name) DO UPDATE SET requests = excluded.requests";
    let mut bounds = key_of(folder);
    bounds.push(Bound::Text(crate::batch::json_of(requests)));
    sql::execute(conn, sql, bounds).await.map(drop)
}

/// The key of a folder, in the order of [`key_of`].
pub(super) const KEY: &str = "account = $1 AND project_id = $2 AND parent_id = $3 AND name = $4";

pub(super) fn key_of(folder: &NewFolder) -> Vec<Bound> {
    vec![
        Bound::Text(folder.account.clone()),
        signed(folder.project),
        signed(folder.parent),
        Bound::Text(folded_folder_name(&folder.name)),
    ]
}

pub(super) fn signed(id: u64) -> Bound {
    Bound::Int(i64::try_from(id).unwrap_or(i64::MAX))
}
