//! Decides who may create a folder, counts the create requests for it, and keeps the id that Testmo returned.
//!
//! One worker at a time holds the claim for a folder, so that a path is created once however many batches ask for it. A
//! create request is counted before it is sent: whatever a crash or a lost answer hides, there are at most
//! [`MOST_REQUESTS`] of them in a window of time.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::{Store, StoreError};
use crate::batch::folded_folder_name;

/// The most create requests for one folder in a window of time that may have created it.
pub const MOST_REQUESTS: usize = 2;

/// How many ids of known folders a claim returns.
const SAMPLE: i64 = 5;

/// A folder to be created. Names that are equal once they are folded mean the same folder.
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

/// A folder whose id a create request returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFolder {
    /// Its id.
    pub id: u64,
    /// Its name as Testmo's answer showed it.
    pub shown_as: Option<String>,
    /// When the id was stored, in milliseconds on the store's clock.
    pub since: i64,
}

/// The answer to a claim for a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderClaim {
    /// Granted: look whether the folder is there by now, and create it if not.
    Granted {
        /// Ids of the folders that were created last in this project: a list that shows new folders shows these.
        created: Vec<u64>,
    },
    /// Another worker holds the claim, or held it and may have left something; for so long.
    Busy(Duration),
}

/// Whether a create request for a folder may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderLeave {
    /// It may, and is counted.
    Granted,
    /// The id of the folder is known by now.
    Known,
    /// Not now: there were as many as there may be, or the last one was too recent; for so long.
    Spent(Duration),
    /// Not under this claim, which another worker has taken over.
    Lost,
}

/// How many create requests for a folder there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FolderLimits {
    /// The time in which there are at most [`MOST_REQUESTS`].
    pub window: Duration,
    /// The same for requests whose outcome is unknown; at most `window`.
    pub unknown: Duration,
    /// The least time between a request that returned no folder and the next one.
    pub spacing: Duration,
}

/// What became of a claim for a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderEnd {
    /// Nothing was created under it.
    NotCreated,
    /// Testmo returned the folder.
    Created {
        /// Its id.
        id: u64,
        /// Its name as the answer showed it.
        shown_as: Option<String>,
    },
    /// Testmo said that it created a folder, but not which one; what it did can show for so long.
    Astray(Duration),
    /// The outcome is unknown, for so long.
    Unknown(Duration),
}

/// The create requests for one folder that may have created it, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests(Vec<Request>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    /// When it was counted, in milliseconds on the store's clock.
    at: i64,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Unknown,
    Astray,
    Created,
}

impl Requests {
    /// Counts one more request, or returns how long none may be sent.
    ///
    /// # Errors
    /// With that time.
    pub fn begin(&mut self, limits: &FolderLimits, now: i64) -> Result<(), Duration> {
        let window = |request: &Request| match request.outcome {
            Outcome::Unknown => limits.unknown.min(limits.window),
            Outcome::Astray | Outcome::Created => limits.window,
        };
        self.0.retain(|request| after(request.at, limits.window) > now);
        let mut counted: Vec<i64> = self.0.iter().map(|request| after(request.at, window(request))).collect();
        counted.sort_unstable();
        let full = counted.iter().rev().nth(MOST_REQUESTS - 1).copied();
        let recent = self.0.last().filter(|last| last.outcome != Outcome::Created);
        let recent = recent.map(|last| after(last.at, limits.spacing));
        match full.max(recent).filter(|until| *until > now) {
            Some(until) => Err(between(now, until)),
            None => {
                self.0.push(Request { at: now, outcome: Outcome::Unknown });
                Ok(())
            }
        }
    }

    /// Notes what became of the last request; one that created nothing does not count.
    pub fn end(&mut self, end: &FolderEnd) {
        let outcome = match end {
            FolderEnd::NotCreated => {
                self.0.pop();
                return;
            }
            FolderEnd::Created { .. } => Outcome::Created,
            FolderEnd::Astray(_) => Outcome::Astray,
            FolderEnd::Unknown(_) => Outcome::Unknown,
        };
        if let Some(last) = self.0.last_mut() {
            last.outcome = outcome;
        }
    }
}

/// What is stored of one folder.
#[derive(Debug, Default)]
struct Stored {
    id: Option<u64>,
    requests: Requests,
}

impl Store {
    /// Claims the right to create a folder for `lease`. Each claim has a holder of its own.
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

    /// Counts the create request that is about to be sent under a claim, if there may be one. Asked again under the same
    /// claim, it counts nothing more.
    ///
    /// # Errors
    /// When the store does not answer; the request may be counted then.
    pub async fn begin_folder(
        &self,
        folder: &NewFolder,
        holder: &str,
        limits: &FolderLimits,
    ) -> Result<FolderLeave, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let leave = match counted(conn, folder, holder, now).await? {
            None => FolderLeave::Lost,
            Some(true) => FolderLeave::Granted,
            Some(false) => {
                let mut stored = read(conn, folder).await?;
                match stored.id {
                    Some(_) => FolderLeave::Known,
                    None => match stored.requests.begin(limits, now) {
                        Err(wait) => FolderLeave::Spent(wait),
                        Ok(()) => {
                            keep_requests(conn, folder, &stored.requests).await?;
                            let sql = format!("UPDATE folder_claims SET counted = 1 WHERE {KEY}");
                            sql::execute(conn, sql, key_of(folder)).await?;
                            FolderLeave::Granted
                        }
                    },
                }
            }
        };
        transaction.commit().await?;
        Ok(leave)
    }

    /// Gives a claim back with what became of it: at once, or, after an unknown outcome, when nothing more can come of
    /// it. An id that Testmo returned is stored with it, also where another worker has taken the claim over, unless
    /// another id is stored already.
    ///
    /// # Errors
    /// When the store does not answer; the lease then runs out.
    pub async fn free_folder(&self, folder: &NewFolder, holder: &str, end: &FolderEnd) -> Result<(), StoreError> {
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

    /// Returns the folder that a create request returned, if it is known.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn known_folder(&self, folder: &NewFolder) -> Result<Option<KnownFolder>, StoreError> {
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

    /// Forgets that a folder has this id, because it vanished from Testmo or is another folder by now.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn forget_folder(&self, folder: &NewFolder, id: u64) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE folders SET folder_id = NULL, shown_as = NULL, known_since = NULL WHERE {KEY} AND folder_id = $5"
        );
        let mut bounds = key_of(folder);
        bounds.push(signed(id));
        let mut conn = self.writing().await?;
        sql::execute(&mut conn, sql, bounds).await.map(drop)
    }
}

/// Whether a create request was counted under a claim that is still its holder's; `None` where it is not. The claim is
/// kept from others until the transaction ends.
async fn counted(
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

async fn read(conn: &mut AnyConnection, folder: &NewFolder) -> Result<Stored, StoreError> {
    let sql = format!("SELECT folder_id, requests FROM folders WHERE {KEY} {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, sql, key_of(folder)).await?;
    let Some(row) = rows.first() else { return Ok(Stored::default()) };
    let stored = || Ok(Stored { id: row.maybe_whole("folder_id")?, requests: row.json("requests")? });
    stored().map_err(|error| in_row(error, folder))
}

fn in_row(error: StoreError, folder: &NewFolder) -> StoreError {
    error.in_row("folders", || format!("{} {} {} {}", folder.account, folder.project, folder.parent, folder.name))
}

async fn keep_requests(conn: &mut AnyConnection, folder: &NewFolder, requests: &Requests) -> Result<(), StoreError> {
    let sql = "INSERT INTO folders (account, project_id, parent_id, name, requests) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (account, project_id, parent_id, name) DO UPDATE SET requests = excluded.requests";
    let mut bounds = key_of(folder);
    bounds.push(Bound::Text(serde_json::to_string(requests).unwrap_or_default()));
    sql::execute(conn, sql, bounds).await.map(drop)
}

const KEY: &str = "account = $1 AND project_id = $2 AND parent_id = $3 AND name = $4";

fn key_of(folder: &NewFolder) -> Vec<Bound> {
    vec![
        Bound::Text(folder.account.clone()),
        signed(folder.project),
        signed(folder.parent),
        Bound::Text(folded_folder_name(&folder.name)),
    ]
}

fn signed(id: u64) -> Bound {
    Bound::Int(i64::try_from(id).unwrap_or(i64::MAX))
}

fn after(now: i64, wait: Duration) -> i64 {
    now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}

fn between(now: i64, until: i64) -> Duration {
    Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const LIMITS: FolderLimits = FolderLimits {
        window: Duration::from_secs(24 * 3_600),
        unknown: Duration::from_secs(24 * 3_600),
        spacing: Duration::from_secs(60),
    };

    fn asked(times: &[(i64, FolderEnd)]) -> Requests {
        let mut requests = Requests::default();
        for (at, end) in times {
            requests.begin(&LIMITS, *at).unwrap();
            requests.end(end);
        }
        requests
    }

    #[test]
    fn there_are_at_most_two_requests_in_any_day() {
        let unknown = || FolderEnd::Unknown(Duration::ZERO);
        for (end, count) in [(unknown(), 2), (FolderEnd::Astray(Duration::ZERO), 2), (FolderEnd::NotCreated, 9)] {
            let mut requests = Requests::default();
            let begun = (0..9).filter(|hour| {
                let begun = requests.begin(&LIMITS, hour * HOUR).is_ok();
                if begun {
                    requests.end(&end);
                }
                begun
            });
            assert_eq!(begun.count(), count, "{end:?}");
        }
        let mut requests = asked(&[(0, unknown()), (23 * HOUR, unknown())]);
        assert_eq!(requests.begin(&LIMITS, 23 * HOUR + 1_800_000), Err(Duration::from_secs(1_800)));
        assert_eq!(requests.begin(&LIMITS, 24 * HOUR), Ok(()));
        assert_eq!(requests.begin(&LIMITS, 25 * HOUR), Err(Duration::from_secs(22 * 3_600)), "the window slides");
    }

    #[test]
    fn a_request_that_returned_no_folder_is_not_repeated_at_once() {
        let mut requests = asked(&[(0, FolderEnd::Unknown(Duration::ZERO))]);
        assert_eq!(requests.begin(&LIMITS, 20_000), Err(Duration::from_secs(40)));
        assert_eq!(requests.begin(&LIMITS, 60_000), Ok(()));
        let mut vanished = asked(&[(0, FolderEnd::Created { id: 7, shown_as: None })]);
        assert_eq!(vanished.begin(&LIMITS, 1), Ok(()));
    }

    #[test]
    fn where_the_list_shows_new_folders_only_those_that_were_said_to_be_created_count_for_a_day() {
        let shown = FolderLimits { unknown: Duration::from_secs(600), ..LIMITS };
        let mut requests =
            asked(&[(0, FolderEnd::Unknown(Duration::ZERO)), (60_000, FolderEnd::Unknown(Duration::ZERO))]);
        assert_eq!(requests.clone().begin(&LIMITS, 600_000), Err(Duration::from_secs(24 * 3_600 - 600)));
        assert_eq!(requests.begin(&shown, 600_000), Ok(()));
        let mut requests =
            asked(&[(0, FolderEnd::Astray(Duration::ZERO)), (60_000, FolderEnd::Astray(Duration::ZERO))]);
        assert_eq!(requests.begin(&shown, 600_000), Err(Duration::from_secs(24 * 3_600 - 600)));
    }
}
