//! What did each tenant enter, and was it seen to work? Keys are kept as they come: encrypted.

use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::{Store, StoreError, outbox};
use crate::batch::event::{ConnectionChange, connection_failed, connection_restored};
use crate::batch::mapping::Mapping;
use crate::batch::verdict::recheck_after;
use crate::batch::written::WrittenMapping;
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
    pub mapping: WrittenMapping,
    /// The same by ids and columns, once the names in it are known.
    pub resolved: Option<Mapping>,
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
    /// The connection with what a look at it found at `now`, in milliseconds on the store's clock.
    pub fn judged(self, finding: Finding, now: i64) -> Self {
        let works = matches!(finding, Finding::Works { .. });
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
}

impl Store {
    /// Enters a connection, or replaces the tenant's present one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn set_connection(&self, row: &ConnectionRow) -> Result<(), StoreError> {
        let mut transaction = Transaction::begin(&self.pool, &self.clock).await?;
        let sql = "INSERT INTO connections (tenant_id, version, origin, key_nonce, key_ciphertext, key_bound_to, \
                   expires_on, project_id, folder_id, mapping, verified_version, verified_at, checked_at, finding, \
                   changed_at, resolved_mapping) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
                   ON CONFLICT (tenant_id) DO UPDATE SET version = excluded.version, origin = excluded.origin, \
                   key_nonce = excluded.key_nonce, key_ciphertext = excluded.key_ciphertext, \
                   key_bound_to = excluded.key_bound_to, expires_on = excluded.expires_on, \
                   project_id = excluded.project_id, folder_id = excluded.folder_id, mapping = excluded.mapping, \
                   verified_version = excluded.verified_version, verified_at = excluded.verified_at, \
                   checked_at = excluded.checked_at, finding = excluded.finding, changed_at = excluded.changed_at, \
                   resolved_mapping = excluded.resolved_mapping";
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
            Bound::Int(transaction.now),
            Bound::MaybeText(row.resolved.as_ref().and_then(|mapping| serde_json::to_string(mapping).ok())),
        ];
        let now = transaction.now;
        replace(transaction.conn()?, now, sql, bounds, row).await?;
        transaction.commit().await
    }

    /// Notes what a look at a version of a connection found, and has it told when that is a change; a connection
    /// changed meanwhile is left alone.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note_finding(&self, tenant: &TenantId, version: &str, finding: &Finding) -> Result<(), StoreError> {
        let mut transaction = Transaction::begin(&self.pool, &self.clock).await?;
        let now = transaction.now;
        note(transaction.conn()?, now, tenant, version, finding).await?;
        transaction.commit().await
    }

    /// Takes up to `most` failed connections that are to be looked at again now; nobody else is given them for `lease`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn take_rechecks(&self, lease: Duration, most: u32) -> Result<Vec<ConnectionRow>, StoreError> {
        let (mut conn, now) = self.conn_at().await?;
        let until = now.saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let sql = format!(
            "WITH due AS MATERIALIZED (SELECT tenant_id AS due_id FROM connections WHERE recheck_at <= $2 \
             ORDER BY recheck_at LIMIT $3 {}) \
             UPDATE connections SET recheck_at = $1 FROM due WHERE tenant_id = due_id RETURNING *",
            Dialect::of(&conn).skip_taken()
        );
        let bounds = vec![Bound::Int(until), Bound::Int(now), Bound::Int(i64::from(most))];
        let rows = sql::fetch(&mut conn, sql, bounds).await?;
        rows.iter().map(connection).collect()
    }

    /// A tenant's connection.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connection(&self, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError> {
        let mut conn = self.conn().await?;
        let sql = "SELECT * FROM connections WHERE tenant_id = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        rows.first().map(connection).transpose()
    }

    /// Every connection, by tenant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connections(&self) -> Result<Vec<ConnectionRow>, StoreError> {
        let mut conn = self.conn().await?;
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
        let mut conn = self.conn().await?;
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
        let mut transaction = Transaction::begin(&self.pool, &self.clock).await?;
        for sql in ["DELETE FROM shelf WHERE tenant_id = $1", "DELETE FROM connections WHERE tenant_id = $1"] {
            sql::execute(transaction.conn()?, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        }
        transaction.commit().await
    }

    /// A fact that was kept under a name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        let mut conn = self.conn().await?;
        let sql = "SELECT value FROM facts WHERE name = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(name.into())]).await?;
        rows.first().map(|row| row.text("value")).transpose()
    }

    /// Keeps a fact under a name, unless there is one already.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn keep_fact(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let mut conn = self.conn().await?;
        let sql = "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        sql::execute(&mut conn, sql, vec![Bound::Text(name.into()), Bound::Text(value.into())]).await?;
        Ok(())
    }
}

/// Carries out the statement that enters `row`, and has it told if a connection that failed works now.
async fn replace(
    conn: &mut AnyConnection,
    now: i64,
    sql: &'static str,
    bounds: Vec<Bound>,
    row: &ConnectionRow,
) -> Result<(), StoreError> {
    let known = format!("SELECT * FROM connections WHERE tenant_id = $1 {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, known, vec![Bound::Text(row.tenant.as_str().into())]).await?;
    let before = rows.first().map(connection).transpose()?;
    sql::execute(conn, sql, bounds).await?;
    match &row.finding {
        Some(finding @ Finding::Works { .. }) if row.is_verified() => {
            tell_change(conn, now, before.as_ref(), &row.version, finding).await
        }
        Some(_) | None => Ok(()),
    }
}

async fn note(
    conn: &mut AnyConnection,
    now: i64,
    tenant: &TenantId,
    version: &str,
    finding: &Finding,
) -> Result<(), StoreError> {
    let key = || Bound::Text(tenant.as_str().into());
    let sql = format!("SELECT * FROM connections WHERE tenant_id = $1 AND version = $2 {}", Dialect::of(conn).keep());
    let rows = sql::fetch(conn, sql, vec![key(), Bound::Text(version.into())]).await?;
    let Some(row) = rows.first() else { return Ok(()) };
    let (before, times) = (connection(row)?, row.whole("rechecks")?);
    let recheck_at = match finding {
        Finding::Works { .. } => None,
        Finding::Fails { reason, .. } => recheck_after(*reason, times)
            .and_then(|wait| i64::try_from(wait.as_millis()).ok())
            .map(|wait| now.saturating_add(wait)),
    };
    let works = matches!(finding, Finding::Works { .. });
    let sql = "UPDATE connections SET checked_at = $3, finding = $4, recheck_at = $6, \
               rechecks = CASE WHEN $5 = 1 THEN 0 ELSE rechecks + 1 END, \
               verified_version = CASE WHEN $5 = 1 THEN version ELSE NULL END, \
               verified_at = CASE WHEN $5 = 1 THEN $3 ELSE verified_at END \
               WHERE tenant_id = $1 AND version = $2";
    let bounds = vec![
        key(),
        Bound::Text(version.into()),
        Bound::Int(now),
        Bound::MaybeText(finding_text(Some(finding))),
        Bound::Int(i64::from(works)),
        Bound::MaybeInt(recheck_at),
    ];
    sql::execute(conn, sql, bounds).await?;
    tell_change(conn, now, Some(&before), version, finding).await
}

/// Stores the event of a connection that stopped working, or works again for what waits.
async fn tell_change(
    conn: &mut AnyConnection,
    now: i64,
    before: Option<&ConnectionRow>,
    version: &str,
    finding: &Finding,
) -> Result<(), StoreError> {
    let Some(before) = before else { return Ok(()) };
    let change = ConnectionChange { tenant: &before.tenant, version, at: now };
    let event = match finding {
        Finding::Fails { reason, detail } if before.is_verified() => connection_failed(change, *reason, Some(detail)),
        Finding::Works { .. } if !before.is_verified() && matches!(before.finding, Some(Finding::Fails { .. })) => {
            let sql = "SELECT COUNT(*) AS n FROM shelf WHERE tenant_id = $1 AND state = 'parked' \
                       AND waits_for = 'connection'";
            let rows = sql::fetch(conn, sql, vec![Bound::Text(before.tenant.as_str().into())]).await?;
            connection_restored(change, rows.first().map_or(Ok(0), |row| row.whole("n"))?)
        }
        Finding::Fails { .. } | Finding::Works { .. } => return Ok(()),
    };
    outbox::put(conn, now, vec![&event]).await
}

fn finding_text(finding: Option<&Finding>) -> Option<String> {
    finding.and_then(|finding| serde_json::to_string(finding).ok())
}

fn connection(row: &AnyRow) -> Result<ConnectionRow, StoreError> {
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
    })
}
