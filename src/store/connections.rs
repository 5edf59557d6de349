//! What did each tenant enter, and was it seen to work? Keys are kept as they come: encrypted.

use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::{Store, StoreError, outbox};
use crate::batch::event::{ConnectionChange, connection_failed, connection_restored};
use crate::batch::render::mapping::Mapping;
use crate::batch::render::mapping_spec::MappingSpec;
use crate::batch::verdict::reason::Class;
use crate::batch::verdict::recheck_after;
use crate::batch::{Reason, TenantId};

/// A connection as it is stored.
#[derive(Clone, Debug)]
pub struct ConnectionRow {
    /// Whose it is.
    pub tenant: TenantId,
    /// A hash of its content.
    pub version: String,
    /// The canonical origin, which is also the account.
    pub origin: String,
    /// The encrypted key.
    pub key: SealedKey,
    /// The day on which the key expires, as `YYYY-MM-DD`.
    pub expires_on: Option<String>,
    /// The project.
    pub project: u64,
    /// The folder.
    pub folder: u64,
    /// How cases become Testmo's, as it was written.
    pub mapping: MappingSpec,
    /// The same by ids and columns, once the names in it are known.
    pub resolved: Option<Mapping>,
    /// The version that was last seen to work.
    pub verified_version: Option<String>,
    /// When that was, in milliseconds on the store's clock.
    pub verified_at: Option<i64>,
    /// When it was last looked at, likewise.
    pub checked_at: Option<i64>,
    /// What that look found.
    pub finding: Option<Verification>,
    /// When a case last arrived, likewise.
    pub last_success_at: Option<i64>,
    /// Counts the changes of the row; 0 for a connection that is not stored yet. Two notes do not count, as nobody
    /// writes back what was read of them: when a case last arrived, and which worker verifies it again.
    pub epoch: u64,
}

/// Whether a change of a connection was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was.
    Done,
    /// Nothing was stored: the connection is not the one any more that the change started from.
    ChangedMeanwhile,
}

impl Written {
    /// Whether it was stored.
    pub fn is_done(self) -> bool {
        self == Self::Done
    }
}

/// An encrypted API key.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The nonce.
    pub nonce: Vec<u8>,
    /// The ciphertext with its tag.
    pub ciphertext: Vec<u8>,
    /// What it is bound to: the tenant and the origin it was entered for.
    pub bound_to: String,
}

impl std::fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedKey(for {})", self.bound_to)
    }
}

/// What a look at a connection found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verification {
    /// It works.
    Works {
        /// The name of the key's user.
        user: String,
        /// The name of the project.
        project: String,
        /// The path of the folder.
        folder: String,
    },
    /// It does not.
    Fails {
        /// Why.
        reason: Reason,
        /// More about it.
        detail: String,
    },
}

/// How many connections are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionCount {
    /// The day on which their keys expire, as `YYYY-MM-DD`.
    pub expires_on: Option<String>,
    /// Whether they may be used.
    pub verified: bool,
    /// How many.
    pub count: i64,
}

impl ConnectionRow {
    /// The connection with what a look at it found at `now`, in milliseconds on the store's clock.
    pub fn judged(self, finding: Verification, now: i64) -> Self {
        let works = matches!(finding, Verification::Works { .. });
        Self {
            verified_version: works.then(|| self.version.clone()),
            verified_at: works.then_some(now),
            checked_at: Some(now),
            finding: Some(finding),
            ..self
        }
    }

    /// Whether it may be used: its present content was seen to work.
    pub fn is_verified(&self) -> bool {
        self.verified_version.as_deref() == Some(self.version.as_str())
    }

    /// Whether a person entered the same: all but what the program notes of the connection by itself.
    pub fn is_entered_as(&self, other: &Self) -> bool {
        let entered = |row: &Self| (row.origin.clone(), row.expires_on.clone(), row.project, row.folder);
        entered(self) == entered(other) && self.key == other.key && self.mapping == other.mapping
    }

    /// The connection, still verified if nothing but the date of its key was changed and its Testmo was just not well.
    fn kept_verified(self, before: Option<&Self>) -> Self {
        match before {
            Some(before) if before.is_verified() && before.version == self.version && passes(self.finding.as_ref()) => {
                let Self { verified_version, verified_at, finding, .. } = before.clone();
                Self { verified_version, verified_at, finding, ..self }
            }
            Some(_) | None => self,
        }
    }
}

/// Whether a look failed over something that passes by itself, and so says nothing against a connection that worked.
fn passes(finding: Option<&Verification>) -> bool {
    match finding {
        Some(Verification::Fails { reason, .. }) => reason.class() == Class::Account || *reason == Reason::WrongHost,
        Some(Verification::Works { .. }) | None => false,
    }
}

impl Store {
    /// Enters a connection, or replaces the tenant's present one if its epoch is still that of `row`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn set_connection(&self, row: &ConnectionRow) -> Result<Written, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let before = kept(transaction.conn()?, &row.tenant).await?.map(|(before, _)| before);
        let row = &row.clone().kept_verified(before.as_ref());
        if !write(transaction.conn()?, now, row).await? {
            transaction.roll_back().await?;
            return Ok(Written::ChangedMeanwhile);
        }
        if let (Some(before), true) = (before, row.is_verified()) {
            tell_restored(transaction.conn()?, now, &before, &row.version).await?;
        }
        transaction.commit().await?;
        Ok(Written::Done)
    }

    /// Notes what a look at a version of a connection found, and has it told when that is a change. A connection whose
    /// epoch has moved since it was read is left alone.
    ///
    /// A verified connection stays so when its Testmo is just not well. One that failed and is found to work gets the
    /// work that waits for it, but is told to be restored only once a case has arrived: a look reads, and so cannot
    /// tell whether the key's user may write.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn record_verification(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        finding: &Verification,
    ) -> Result<Written, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let stored = kept(transaction.conn()?, tenant).await?;
        let Some((before, fails)) = stored.filter(|(row, _)| row.version == version && row.epoch == epoch) else {
            transaction.roll_back().await?;
            return Ok(Written::ChangedMeanwhile);
        };
        note(transaction.conn()?, now, &before, fails, finding).await?;
        transaction.commit().await?;
        Ok(Written::Done)
    }

    /// Takes up to `most` failed connections that are to be looked at again now; nobody else is given them for `lease`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn take_reverifications(&self, lease: Duration, most: u32) -> Result<Vec<ConnectionRow>, StoreError> {
        let (mut conn, now) = self.writing_at().await?;
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT tenant_id AS due_id FROM connections WHERE recheck_at <= $2 \
             ORDER BY recheck_at LIMIT $3 {}) \
             UPDATE connections SET recheck_at = $1 FROM due WHERE tenant_id = due_id RETURNING *",
            Dialect::of(&conn).skip_taken()
        );
        let bounds = vec![Bound::Int(until), Bound::Int(now), Bound::Int(i64::from(most))];
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        self.unreadable.skip(rows.iter().map(connection))
    }

    /// A tenant's connection.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connection(&self, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT * FROM connections WHERE tenant_id = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        self.unreadable.noted(rows.first().map(connection).transpose())
    }

    /// Every connection, by tenant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connections(&self) -> Result<Vec<ConnectionRow>, StoreError> {
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, "SELECT * FROM connections ORDER BY tenant_id", vec![]).await?;
        self.unreadable.skip(rows.iter().map(connection))
    }

    /// Tenants whose keys expire on or before a day (ISO 8601), with the days on which they do.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keys_expiring_by(&self, day: &str) -> Result<Vec<(TenantId, String)>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT tenant_id, expires_on FROM connections WHERE expires_on <= $1 ORDER BY tenant_id";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(day.into())]).await?;
        let key = |row: &AnyRow| Ok((row.parsed("tenant_id")?, row.text("expires_on")?));
        let in_row = |row| key(row).map_err(|error: StoreError| error.in_row("connections", || key_of(row)));
        self.unreadable.skip(rows.iter().map(in_row))
    }

    /// How many connections there are, by the day on which their keys expire and whether they may be used.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connection_counts(&self) -> Result<Vec<ConnectionCount>, StoreError> {
        let sql = "SELECT expires_on, verified, COUNT(*) AS n FROM (SELECT expires_on, \
                   CASE WHEN verified_version = version THEN 1 ELSE 0 END AS verified FROM connections) AS c \
                   GROUP BY expires_on, verified ORDER BY expires_on, verified";
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, sql, vec![]).await?;
        let count = |row: &AnyRow| {
            Ok(ConnectionCount {
                expires_on: row.maybe_text("expires_on")?,
                verified: row.int("verified")? == 1,
                count: row.int("n")?,
            })
        };
        rows.iter().map(count).collect()
    }

    /// A fact that was kept under a name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT value FROM facts WHERE name = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(name.into())]).await?;
        rows.first().map(|row| row.text("value")).transpose()
    }

    /// Keeps a fact under a name, unless there is one already.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep_fact(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut conn = self.writing().await?;
        let sql = "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        sql::execute(&mut conn, sql, vec![Bound::Text(name.into()), Bound::Text(value.into())]).await?;
        Ok(())
    }
}

/// Stores a connection if the stored epoch is the one of `row`, which is 0 for a connection that is new; tells whether
/// it was stored. A new one begins with the time as its epoch, so that it is never taken for one that was removed.
async fn write(conn: &mut AnyConnection, now: i64, row: &ConnectionRow) -> Result<bool, StoreError> {
    let (recheck_at, rechecks) = match &row.finding {
        Some(Verification::Fails { reason, .. }) if !row.is_verified() => (recheck_at(*reason, 0, now), 1),
        Some(_) | None => (None, 0),
    };
    let sql = if row.epoch == 0 {
        "INSERT INTO connections (tenant_id, version, origin, key_nonce, key_ciphertext, key_bound_to, expires_on, \
         project_id, folder_id, mapping, verified_version, verified_at, checked_at, finding, changed_at, \
         resolved_mapping, recheck_at, rechecks, epoch) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
         ON CONFLICT (tenant_id) DO NOTHING"
    } else {
        "UPDATE connections SET version = $2, origin = $3, key_nonce = $4, key_ciphertext = $5, key_bound_to = $6, \
         expires_on = $7, project_id = $8, folder_id = $9, mapping = $10, verified_version = $11, verified_at = $12, \
         checked_at = $13, finding = $14, changed_at = $15, resolved_mapping = $16, recheck_at = $17, rechecks = $18, \
         epoch = epoch + 1 WHERE tenant_id = $1 AND epoch = $19"
    };
    let epoch = if row.epoch == 0 { now } else { i64::try_from(row.epoch).unwrap_or(i64::MAX) };
    let bounds = vec![
        Bound::Text(row.tenant.as_str().into()),
        Bound::Text(row.version.clone()),
        Bound::Text(row.origin.clone()),
        Bound::Blob(row.key.nonce.clone()),
        Bound::Blob(row.key.ciphertext.clone()),
        Bound::Text(row.key.bound_to.clone()),
        Bound::MaybeText(row.expires_on.clone()),
        Bound::Int(i64::try_from(row.project).unwrap_or(i64::MAX)),
        Bound::Int(i64::try_from(row.folder).unwrap_or(i64::MAX)),
        Bound::Text(serde_json::to_string(&row.mapping).unwrap_or_default()),
        Bound::MaybeText(row.verified_version.clone()),
        Bound::MaybeInt(row.verified_at),
        Bound::MaybeInt(row.checked_at),
        Bound::MaybeText(finding_text(row.finding.as_ref())),
        Bound::Int(now),
        Bound::MaybeText(row.resolved.as_ref().and_then(|mapping| serde_json::to_string(mapping).ok())),
        Bound::MaybeInt(recheck_at),
        Bound::Int(rechecks),
        Bound::Int(epoch),
    ];
    Ok(sql::execute(conn, sql, bounds).await? == 1)
}

/// A tenant's connection, and how often it was found to fail since it was told to work; nobody else changes it before
/// the transaction ends.
async fn kept(conn: &mut AnyConnection, tenant: &TenantId) -> Result<Option<(ConnectionRow, u32)>, StoreError> {
    let sql = format!("SELECT * FROM connections WHERE tenant_id = $1 {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
    rows.first().map(|row| Ok((connection(row)?, row.whole("rechecks")?))).transpose()
}

fn recheck_at(reason: Reason, times: u32, now: i64) -> Option<i64> {
    let wait = recheck_after(reason, times)?;
    Some(now.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
}

async fn note(
    conn: &mut AnyConnection,
    now: i64,
    before: &ConnectionRow,
    fails: u32,
    finding: &Verification,
) -> Result<(), StoreError> {
    let (tenant, version) = (&before.tenant, before.version.as_str());
    let key = || vec![Bound::Text(tenant.as_str().into()), Bound::Int(now)];
    if before.is_verified() && passes(Some(finding)) {
        let sql = "UPDATE connections SET checked_at = $2, epoch = epoch + 1 WHERE tenant_id = $1";
        sql::execute(conn, sql, key()).await?;
        return Ok(());
    }
    let set = |verified| {
        format!(
            "UPDATE connections SET checked_at = $2, finding = $3, recheck_at = $4, rechecks = $5, \
             epoch = epoch + 1, {verified} WHERE tenant_id = $1"
        )
    };
    let with = |recheck_at, fails: u32| {
        let finding = Bound::MaybeText(finding_text(Some(finding)));
        key().into_iter().chain([finding, Bound::MaybeInt(recheck_at), Bound::Int(fails.into())]).collect()
    };
    match finding {
        Verification::Works { .. } => {
            let is_proven = fails == 0 || waiting(conn, tenant).await? == 0;
            let bounds = with(None, if is_proven { 0 } else { fails });
            sql::execute(conn, set("verified_version = version, verified_at = $2"), bounds).await?;
            if is_proven { tell_restored(conn, now, before, version).await } else { Ok(()) }
        }
        Verification::Fails { reason, detail } => {
            let bounds = with(recheck_at(*reason, fails, now), fails.saturating_add(1));
            sql::execute(conn, set("verified_version = NULL"), bounds).await?;
            // Where it was found to work but that was not told, its failing again is no news.
            if !before.is_verified() || fails > 0 {
                return Ok(());
            }
            let change = ConnectionChange { tenant, version, at: now };
            outbox::put(conn, now, vec![(&connection_failed(change, *reason, Some(detail)), None)]).await.map(drop)
        }
    }
}

/// Notes that cases of tenants have arrived: what was told to fail and was found to work is told to be restored.
pub(super) async fn proven(conn: &mut AnyConnection, now: i64, tenants: &[TenantId]) -> Result<(), StoreError> {
    for tenant in tenants {
        let (row, fails) = match kept(conn, tenant).await {
            Ok(Some(kept)) => kept,
            // What cannot be read is not reported, and must not keep from being stored what arrived.
            Ok(None) | Err(StoreError::Unreadable(_)) => continue,
            Err(error) => return Err(error),
        };
        if fails == 0 || !row.is_verified() {
            continue;
        }
        let sql = "UPDATE connections SET rechecks = 0, epoch = epoch + 1 WHERE tenant_id = $1";
        sql::execute(conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        tell(conn, now, tenant, &row.version).await?;
    }
    Ok(())
}

/// Stores the event that a connection works again, if it did not before.
async fn tell_restored(
    conn: &mut AnyConnection,
    now: i64,
    before: &ConnectionRow,
    version: &str,
) -> Result<(), StoreError> {
    if before.is_verified() || !matches!(before.finding, Some(Verification::Fails { .. })) {
        return Ok(());
    }
    tell(conn, now, &before.tenant, version).await
}

async fn tell(conn: &mut AnyConnection, now: i64, tenant: &TenantId, version: &str) -> Result<(), StoreError> {
    let batches = waiting(conn, tenant).await?;
    let event = connection_restored(ConnectionChange { tenant, version, at: now }, batches);
    outbox::put(conn, now, vec![(&event, None)]).await.map(drop)
}

/// How many batches of a tenant wait for its connection.
async fn waiting(conn: &mut AnyConnection, tenant: &TenantId) -> Result<u64, StoreError> {
    let sql = "SELECT COUNT(*) AS n FROM shelf WHERE tenant_id = $1 AND state = 'parked' \
               AND waits_for = 'connection'";
    let rows = sql::fetch(conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
    rows.first().map_or(Ok(0), |row| row.whole("n"))
}

fn finding_text(finding: Option<&Verification>) -> Option<String> {
    finding.and_then(|finding| serde_json::to_string(finding).ok())
}

pub(super) fn connection(row: &AnyRow) -> Result<ConnectionRow, StoreError> {
    columns(row).map_err(|error| error.in_row("connections", || key_of(row)))
}

fn key_of(row: &AnyRow) -> String {
    row.text("tenant_id").unwrap_or_else(|_| "?".into())
}

fn columns(row: &AnyRow) -> Result<ConnectionRow, StoreError> {
    let finding = row.maybe_text("finding")?;
    let finding = finding.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::malformed("finding")));
    let resolved = row.maybe_text("resolved_mapping")?;
    let resolved =
        resolved.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::malformed("resolved_mapping")));
    Ok(ConnectionRow {
        tenant: row.parsed("tenant_id")?,
        version: row.text("version")?,
        origin: row.text("origin")?,
        key: SealedKey {
            nonce: row.blob("key_nonce")?,
            ciphertext: row.blob("key_ciphertext")?,
            bound_to: row.text("key_bound_to")?,
        },
        expires_on: row.maybe_text("expires_on")?,
        project: row.whole("project_id")?,
        folder: row.whole("folder_id")?,
        mapping: row.json("mapping")?,
        resolved: resolved.transpose()?,
        verified_version: row.maybe_text("verified_version")?,
        verified_at: row.maybe_int("verified_at")?,
        checked_at: row.maybe_int("checked_at")?,
        finding: finding.transpose()?,
        last_success_at: row.maybe_int("last_success_at")?,
        epoch: row.whole("epoch")?,
    })
}
