//! Decides who may create a folder, counts the create requests for it, and keeps the id that Testmo returned.
//!
//! One worker at a time holds the claim for a folder, so that a path is created once however many batches ask for it. A
//! create request is counted before it is sent: whatever a crash or a lost answer hides, there are at most
//! [`MOST_REQUESTS`] of them in a window of time.

mod model;
mod requests;
mod rows;
mod times;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::any::AnyRow;

use self::rows::{KEY, counted, in_row, keep_requests, key_of, read, signed};
use self::times::{after, between};
use super::sql::{self, Bound, Columns, Transaction};
use super::{Store, StoreError};

pub use self::model::{FolderClaim, FolderEnd, FolderLimits, FolderPermit, KnownFolder, NewFolder};
pub use self::requests::{CreateRequests, MOST_REQUESTS};

/// How many ids of known folders a claim returns.
const SAMPLE: i64 = 5;

/// How folders are claimed and remembered.
#[async_trait]
pub trait FolderStore: Send + Sync {
    /// Claims the right to create a folder for `lease`. Each claim has a holder of its own.
    ///
    /// # Errors
    /// When the store does not answer; the claim may be stored or not.
    async fn claim_folder(&self, new: &NewFolder, holder: &str, lease: Duration) -> Result<FolderClaim, StoreError>;

    /// Counts the create request that is about to be sent under a claim, if one may be sent. A second call under the same
    /// claim counts nothing more.
    ///
    /// # Errors
    /// When the store does not answer; the request may be counted then. When this version cannot read what is known of the
    /// folder.
    async fn begin_folder_request(
        &self,
        folder: &NewFolder,
        holder: &str,
        limits: &FolderLimits,
    ) -> Result<FolderPermit, StoreError>;

    /// Ends a claim with what became of its create request, and keeps the id of a folder that was created.
    ///
    /// # Errors
    /// When the store does not answer; the claim then lasts until its lease ends.
    async fn release_folder(&self, folder: &NewFolder, holder: &str, end: &FolderEnd) -> Result<(), StoreError>;

    /// Returns the folder that a create request returned, if one did.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read what is known of the folder.
    async fn known_folder(&self, folder: &NewFolder) -> Result<Option<KnownFolder>, StoreError>;

    /// Forgets that a folder has this id, because it vanished from Testmo or is another folder by now.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn forget_folder(&self, folder: &NewFolder, id: u64) -> Result<(), StoreError>;
}

#[async_trait]
impl FolderStore for Store {
    async fn claim_folder(&self, folder: &NewFolder, holder: &str, lease: Duration) -> Result<FolderClaim, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let sql = "INSERT INTO folder_claims (account, project_id, parent_id, name, holder, lease_until, counted) \
                   VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (account, project_id, parent_id, name) DO UPDATE \
                   SET holder = excluded.holder, lease_until = excluded.lease_until, counted = 0 \
                   WHERE folder_claims.lease_until <= $7 RETURNING holder";
        let mut bounds = key_of(folder);
        bounds.extend([Bound::Text(holder.into()), Bound::Int(after(now, lease)), Bound::Int(now)]);
        if !sql::fetch(&mut conn, sql, bounds).await?.is_empty() {
            let sql = "SELECT folder_id FROM folders WHERE account = $1 AND project_id = $2 AND folder_id IS NOT NULL \
                       ORDER BY known_since DESC, folder_id DESC LIMIT $3";
            let bounds = vec![Bound::Text(folder.account.clone()), signed(folder.project), Bound::Int(SAMPLE)];
            let rows = sql::fetch(&mut conn, sql, bounds).await?;
            let id = |row: &AnyRow| row.whole("folder_id").map_err(|error: StoreError| in_row(error, folder));
            let created = self.unreadable.skip(rows.iter().map(id))?;
            return Ok(FolderClaim::Granted { created });
        }
        let sql = format!("SELECT lease_until FROM folder_claims WHERE {KEY}");
        let rows = sql::fetch(&mut conn, sql, key_of(folder)).await?;
        let until = rows.first().map_or(Ok(now), |row| row.int("lease_until"))?;
        Ok(FolderClaim::Busy(between(now, until)))
    }

    async fn begin_folder_request(
        &self,
        folder: &NewFolder,
        holder: &str,
        limits: &FolderLimits,
    ) -> Result<FolderPermit, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let leave = match counted(conn, folder, holder, now).await? {
            None => FolderPermit::Lost,
            Some(true) => FolderPermit::Granted,
            Some(false) => {
                let mut stored = read(conn, folder).await?;
                match stored.id {
                    Some(_) => FolderPermit::Known,
                    None => match stored.requests.begin(limits, now) {
                        Err(wait) => FolderPermit::Spent(wait),
                        Ok(()) => {
                            keep_requests(conn, folder, &stored.requests).await?;
                            let sql = format!("UPDATE folder_claims SET counted = 1 WHERE {KEY}");
                            sql::execute(conn, sql, key_of(folder)).await?;
                            FolderPermit::Granted
                        }
                    },
                }
            }
        };
        transaction.commit().await?;
        Ok(leave)
    }

    async fn release_folder(&self, folder: &NewFolder, holder: &str, end: &FolderEnd) -> Result<(), StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let held = counted(conn, folder, holder, i64::MIN).await?;
        let mut stored = read(conn, folder).await?;
        if held == Some(true) {
            stored.requests.end(end);
            keep_requests(conn, folder, &stored.requests).await?;
        }
        if let (FolderEnd::Created { id, shown_as }, None) = (end, stored.id) {
            keep_requests(conn, folder, &stored.requests).await?;
            let sql = format!("UPDATE folders SET folder_id = $5, shown_as = $6, known_since = $7 WHERE {KEY}");
            let mut bounds = key_of(folder);
            bounds.extend([signed(*id), Bound::MaybeText(shown_as.clone()), Bound::Int(now)]);
            sql::execute(conn, sql, bounds).await?;
        }
        let mut bounds = key_of(folder);
        bounds.push(Bound::Text(holder.into()));
        match end {
            FolderEnd::NotCreated | FolderEnd::Created { .. } => {
                let sql = format!("DELETE FROM folder_claims WHERE {KEY} AND holder = $5");
                sql::execute(conn, sql, bounds).await?;
            }
            FolderEnd::Astray(settle) | FolderEnd::Unknown(settle) => {
                bounds.push(Bound::Int(after(now, *settle)));
                let sql = format!("UPDATE folder_claims SET lease_until = $6, counted = 0 WHERE {KEY} AND holder = $5");
                sql::execute(conn, sql, bounds).await?;
            }
        }
        transaction.commit().await
    }

    async fn known_folder(&self, folder: &NewFolder) -> Result<Option<KnownFolder>, StoreError> {
        let sql = format!("SELECT folder_id, shown_as, known_since FROM folders WHERE {KEY} AND folder_id IS NOT NULL");
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, sql, key_of(folder)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let known = || {
            let (id, shown_as, since) = (row.whole("folder_id")?, row.maybe_text("shown_as")?, row.int("known_since")?);
            Ok(Some(KnownFolder { id, shown_as, since }))
        };
        self.unreadable.noted(known().map_err(|error| in_row(error, folder)))
    }

    async fn forget_folder(&self, folder: &NewFolder, id: u64) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE folders SET folder_id = NULL, shown_as = NULL, known_since = NULL WHERE {KEY} AND folder_id = $5"
        );
        let mut bounds = key_of(folder);
        bounds.push(signed(id));
        let mut conn = self.writing().await?;
        sql::execute(&mut conn, sql, bounds).await.map(drop)
    }
}
