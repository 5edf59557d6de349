//! What did each tenant enter, and was it seen to work? Keys are kept as they come: encrypted.

use std::time::Duration;

use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns};
use super::{Store, StoreError};
use crate::batch::mapping::Mapping;
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
    /// How cases become Testmo's.
    pub mapping: Mapping,
    /// The version that was last seen to work.
    pub verified_version: Option<String>,
    /// When that was, in milliseconds on the store's clock.
    pub verified_at: Option<i64>,
    /// When it was last looked at, likewise.
    pub checked_at: Option<i64>,
    /// What that look found.
    pub finding: Option<Finding>,
    /// When a case last arrived, likewise.
    pub last_success_at: Option<i64>,
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
pub enum Finding {
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
    /// Whether it may be used: its present content was seen to work.
    pub fn is_verified(&self) -> bool {
        self.verified_version.as_deref() == Some(self.version.as_str())
    }
}

impl Store {
    /// Enters a connection, or replaces the tenant's present one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn set_connection(&self, row: &ConnectionRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO connections (tenant_id, version, origin, key_nonce, key_ciphertext, key_bound_to, \
                   expires_on, project_id, folder_id, mapping, verified_version, verified_at, checked_at, finding, \
                   changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
                   ON CONFLICT (tenant_id) DO UPDATE SET version = excluded.version, origin = excluded.origin, \
                   key_nonce = excluded.key_nonce, key_ciphertext = excluded.key_ciphertext, \
                   key_bound_to = excluded.key_bound_to, expires_on = excluded.expires_on, \
                   project_id = excluded.project_id, folder_id = excluded.folder_id, mapping = excluded.mapping, \
                   verified_version = excluded.verified_version, verified_at = excluded.verified_at, \
                   checked_at = excluded.checked_at, finding = excluded.finding, changed_at = excluded.changed_at";
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
            Bound::Int(self.now()),
        ];
        let mut conn = self.pool.acquire().await?;
        sql::execute(&mut conn, sql, bounds).await?;
        Ok(())
    }

    /// Notes what a look at a version of a connection found; a connection changed meanwhile is left alone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note_finding(&self, tenant: &TenantId, version: &str, finding: &Finding) -> Result<(), StoreError> {
        let works = matches!(finding, Finding::Works { .. });
        let recheck_at = self.recheck_at(tenant, finding).await?;
        let sql = "UPDATE connections SET checked_at = $3, finding = $4, recheck_at = $6, \
                   rechecks = CASE WHEN $5 = 1 THEN 0 ELSE rechecks + 1 END, \
                   verified_version = CASE WHEN $5 = 1 THEN version ELSE NULL END, \
                   verified_at = CASE WHEN $5 = 1 THEN $3 ELSE verified_at END \
                   WHERE tenant_id = $1 AND version = $2";
        let bounds = vec![
            Bound::Text(tenant.as_str().into()),
            Bound::Text(version.into()),
            Bound::Int(self.now()),
            Bound::MaybeText(finding_text(Some(finding))),
            Bound::Int(i64::from(works)),
            Bound::MaybeInt(recheck_at),
        ];
        let mut conn = self.pool.acquire().await?;
        sql::execute(&mut conn, sql, bounds).await?;
        Ok(())
    }

    async fn recheck_at(&self, tenant: &TenantId, finding: &Finding) -> Result<Option<i64>, StoreError> {
        let Finding::Fails { reason, .. } = finding else { return Ok(None) };
        let mut conn = self.pool.acquire().await?;
        let sql = "SELECT rechecks FROM connections WHERE tenant_id = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        let times = rows.first().map_or(Ok(0), |row| row.whole("rechecks"))?;
        let wait = recheck_after(*reason, times).and_then(|wait| i64::try_from(wait.as_millis()).ok());
        Ok(wait.map(|wait| self.now().saturating_add(wait)))
    }

    /// Takes up to `most` failed connections that are to be looked at again now; nobody else is given them for `lease`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn take_rechecks(&self, lease: Duration, most: u32) -> Result<Vec<ConnectionRow>, StoreError> {
        let now = self.now();
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let sql = "UPDATE connections SET recheck_at = $1 WHERE tenant_id IN (SELECT tenant_id FROM connections \
                   WHERE recheck_at <= $2 ORDER BY recheck_at LIMIT $3) RETURNING *";
        let bounds = vec![Bound::Int(until), Bound::Int(now), Bound::Int(i64::from(most))];
        let mut conn = self.pool.acquire().await?;
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        rows.iter().map(connection).collect()
    }

    /// A tenant's connection.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connection(&self, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError> {
        let mut conn = self.pool.acquire().await?;
        let sql = "SELECT * FROM connections WHERE tenant_id = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        rows.first().map(connection).transpose()
    }

    /// Every connection, by tenant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connections(&self) -> Result<Vec<ConnectionRow>, StoreError> {
        let mut conn = self.pool.acquire().await?;
        let rows = sql::fetch(&mut conn, "SELECT * FROM connections ORDER BY tenant_id", vec![]).await?;
        rows.iter().map(connection).collect()
    }

    /// How many connections there are, by the day on which their keys expire and whether they may be used.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connection_counts(&self) -> Result<Vec<ConnectionCount>, StoreError> {
        let sql = "SELECT expires_on, verified, COUNT(*) AS n FROM (SELECT expires_on, \
                   CASE WHEN verified_version = version THEN 1 ELSE 0 END AS verified FROM connections) AS c \
                   GROUP BY expires_on, verified ORDER BY expires_on, verified";
        let mut conn = self.pool.acquire().await?;
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

    /// Removes a tenant's connection and everything on the shelf for it.
    ///
    /// # Errors
    /// When the store does not answer; nothing is removed then.
    pub async fn remove_tenant(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        for sql in ["DELETE FROM shelf WHERE tenant_id = $1", "DELETE FROM connections WHERE tenant_id = $1"] {
            sql::execute(&mut transaction, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// A fact that was kept under a name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut conn = self.pool.acquire().await?;
        let sql = "SELECT value FROM facts WHERE name = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(name.into())]).await?;
        rows.first().map(|row| row.text("value")).transpose()
    }

    /// Keeps a fact under a name, unless there is one already.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep_fact(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut conn = self.pool.acquire().await?;
        let sql = "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        sql::execute(&mut conn, sql, vec![Bound::Text(name.into()), Bound::Text(value.into())]).await?;
        Ok(())
    }
}

fn finding_text(finding: Option<&Finding>) -> Option<String> {
    finding.and_then(|finding| serde_json::to_string(finding).ok())
}

fn connection(row: &AnyRow) -> Result<ConnectionRow, StoreError> {
    let finding = row.maybe_text("finding")?;
    let finding = finding.map(|text| serde_json::from_str(&text).map_err(|_| StoreError::malformed("finding")));
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
        verified_version: row.maybe_text("verified_version")?,
        verified_at: row.maybe_int("verified_at")?,
        checked_at: row.maybe_int("checked_at")?,
        finding: finding.transpose()?,
        last_success_at: row.maybe_int("last_success_at")?,
    })
}
