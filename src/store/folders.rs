//! Who may create a folder? One worker at a time, so that a path is created once however many batches ask for it.

use std::time::Duration;

use super::sql::{self, Bound, Columns};
use super::{Store, StoreError};

/// A folder to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFolder {
    /// The account it is in.
    pub account: String,
    /// The project.
    pub project: u64,
    /// The folder it is to be in.
    pub parent: u64,
    /// Its name, trimmed.
    pub name: String,
}

/// The answer to a claim for a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderClaim {
    /// Granted: look whether it is there by now, and create it if not.
    Granted,
    /// Somebody else is at it, or was and may have left something; for so long.
    Busy(Duration),
}

impl Store {
    /// Claims the right to create a folder for `lease`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn claim_folder(
        &self,
        folder: &NewFolder,
        holder: &str,
        lease: Duration,
    ) -> Result<FolderClaim, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let sql = "INSERT INTO folder_claims (account, project_id, parent_id, name, holder, lease_until) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account, project_id, parent_id, name) DO UPDATE \
                   SET holder = excluded.holder, lease_until = excluded.lease_until \
                   WHERE folder_claims.lease_until <= $7 RETURNING holder";
        let mut bounds = key_of(folder);
        bounds.extend([Bound::Text(holder.into()), Bound::Int(after(now, lease)), Bound::Int(now)]);
        if !sql::fetch(&mut conn, sql, bounds).await?.is_empty() {
            return Ok(FolderClaim::Granted);
        }
        let sql = format!("SELECT lease_until FROM folder_claims WHERE {KEY}");
        let rows = sql::fetch(&mut conn, sql, key_of(folder)).await?;
        let until = rows.first().map_or(Ok(now), |row| row.int("lease_until"))?;
        Ok(FolderClaim::Busy(Duration::from_millis(u64::try_from(until - now).unwrap_or(0))))
    }

    /// Gives a claim back: at once, or, after an unclear end, when nothing more can come of it.
    ///
    /// # Errors
    /// When the store does not answer; the lease then runs out.
    pub async fn free_folder(&self, folder: &NewFolder, holder: &str, settle: Duration) -> Result<(), StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let mut bounds = key_of(folder);
        bounds.push(Bound::Text(holder.into()));
        if settle.is_zero() {
            let sql = format!("DELETE FROM folder_claims WHERE {KEY} AND holder = $5");
            sql::execute(&mut conn, sql, bounds).await?;
        } else {
            bounds.push(Bound::Int(after(now, settle)));
            let sql = format!("UPDATE folder_claims SET lease_until = $6 WHERE {KEY} AND holder = $5");
            sql::execute(&mut conn, sql, bounds).await?;
        }
        Ok(())
    }
}

const KEY: &str = "account = $1 AND project_id = $2 AND parent_id = $3 AND name = $4";

fn key_of(folder: &NewFolder) -> Vec<Bound> {
    let signed = |id: u64| Bound::Int(i64::try_from(id).unwrap_or(i64::MAX));
    vec![
        Bound::Text(folder.account.clone()),
        signed(folder.project),
        signed(folder.parent),
        Bound::Text(folder.name.clone()),
    ]
}

fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}
