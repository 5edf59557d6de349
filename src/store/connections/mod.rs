//! Stores each tenant's connection, and whether it was verified. Keys are kept as they come: encrypted.

mod model;
mod page;
mod probe;
mod remembered;
mod rows;
mod seen;
mod successor;
mod verification;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::any::AnyRow;

use self::rows::{kept, write};
use self::verification::{keep_refusal, note, report_restored};
use super::audit::{self, AuditEntry};
use super::rotation::{WrappedKey, is_current};
use super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::{Store, StoreError};
use crate::batch::render::kinds::FieldKinds;
use crate::batch::{Reason, TenantId, json_of};

pub use self::model::{
    ConnectionCount, ConnectionRow, Difference, FileSource, Part, Refusal, SealedKey, Successor, Verification,
    WriteOutcome,
};
pub use self::probe::{Assumption, Finding, Found, LeftCase, Probe};
pub(super) use self::rows::{connection, key_of, sealed_key};
pub use self::seen::{Interruption, Seen, SeenNames};
pub(super) use self::verification::proven;

/// How connections are read, entered and verified.
#[async_trait]
pub trait ConnectionStore: Send + Sync {
    /// Returns a tenant's connection.
    ///
    /// # Errors
    /// When the store does not answer, or this version cannot read the connection.
    async fn connection(&self, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError>;

    /// Returns the tenants whose keys expire on or before a day (`YYYY-MM-DD`), with the day on which each does.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn keys_expiring_by(&self, day: &str) -> Result<Vec<(TenantId, String)>, StoreError>;

    /// Returns the tenants that have a connection, at most so many of them.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn connected_tenants(&self, most: u32) -> Result<Vec<TenantId>, StoreError>;

    /// Counts connections, by the day on which their keys expire and whether they are verified.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn connection_counts(&self) -> Result<Vec<ConnectionCount>, StoreError>;

    /// Enters a connection, or replaces the tenant's present one if its epoch is still that of `row`. The entries of the
    /// audit are stored with it, or none of both. A connection whose API key is encrypted with a master key that was replaced
    /// counts as changed meanwhile.
    ///
    /// # Errors
    /// When the store does not answer; the connection may be stored or not.
    async fn set_connection_by(&self, row: &ConnectionRow, audit: &[AuditEntry]) -> Result<WriteOutcome, StoreError>;

    /// Enters a connection as [`Self::set_connection_by`] does, where no person has asked for it.
    ///
    /// # Errors
    /// When the store does not answer; the connection may be stored or not.
    async fn set_connection(&self, row: &ConnectionRow) -> Result<WriteOutcome, StoreError> {
        self.set_connection_by(row, &[]).await
    }

    /// Notes the result of verifying a version of a connection, and stores an event if that changes what was last
    /// reported. A connection whose epoch has moved since it was read stays as it is.
    ///
    /// A verified connection stays verified while its Testmo is only unavailable. One that failed and works again gets
    /// the work that waits for it, but is reported as restored only once a case has arrived: verification only reads, so
    /// it cannot find out whether the key's user may write.
    ///
    /// The entries of the audit are stored with the result, or none of both.
    ///
    /// # Errors
    /// When the store does not answer; the result may be stored or not.
    async fn record_verification_by(
        &self,
        verified: (&TenantId, &str, u64),
        finding: &Verification,
        audit: &[AuditEntry],
    ) -> Result<WriteOutcome, StoreError>;

    /// Notes a result as [`Self::record_verification_by`] does, where no person has asked for it.
    ///
    /// # Errors
    /// When the store does not answer; the result may be stored or not.
    async fn record_verification(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        finding: &Verification,
    ) -> Result<WriteOutcome, StoreError> {
        self.record_verification_by((tenant, version, epoch), finding, &[]).await
    }

    /// Notes which custom fields the project of a connection has, as a verification read them. A connection whose epoch has
    /// moved since it was read stays as it is; the note itself does not move the epoch.
    ///
    /// # Errors
    /// When the store does not answer; the fields may be stored or not.
    async fn note_fields(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        fields: &FieldKinds,
    ) -> Result<WriteOutcome, StoreError>;

    /// Notes, like a failed verification, that a request of a batch was refused over a version of a connection. Where a
    /// verification cannot show that this has passed, the refusal is kept until a case arrives, and the connection is
    /// reported as restored only then.
    ///
    /// # Errors
    /// When the store does not answer; the refusal may be stored or not.
    async fn record_refusal(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        reason: Reason,
        detail: &str,
    ) -> Result<WriteOutcome, StoreError>;

    /// Takes up to `most` failed connections and successors that are due to be verified again; no other caller gets them for `lease`.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn take_reverifications(&self, lease: Duration, most: u32) -> Result<Vec<ConnectionRow>, StoreError>;

    /// Returns the master key that replaces the former one, encrypted with it, until the former one is given up.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn wrapped_master_key(&self) -> Result<Option<WrappedKey>, StoreError>;
}

#[async_trait]
impl ConnectionStore for Store {
    async fn connection(&self, tenant: &TenantId) -> Result<Option<ConnectionRow>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT * FROM connections WHERE tenant_id = $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(tenant.as_str().into())]).await?;
        self.unreadable.noted(rows.first().map(connection).transpose())
    }

    async fn keys_expiring_by(&self, day: &str) -> Result<Vec<(TenantId, String)>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT tenant_id, expires_on FROM connections WHERE expires_on <= $1 ORDER BY tenant_id";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Text(day.into())]).await?;
        let key = |row: &AnyRow| Ok((row.parsed("tenant_id")?, row.text("expires_on")?));
        let in_row = |row| key(row).map_err(|error: StoreError| error.in_row("connections", || key_of(row)));
        self.unreadable.skip(rows.iter().map(in_row))
    }

    async fn connected_tenants(&self, most: u32) -> Result<Vec<TenantId>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT tenant_id FROM connections ORDER BY tenant_id LIMIT $1";
        let rows = sql::fetch(&mut conn, sql, vec![Bound::Int(i64::from(most))]).await?;
        let tenant = |row: &AnyRow| row.parsed("tenant_id");
        let in_row = |row| tenant(row).map_err(|error: StoreError| error.in_row("connections", || key_of(row)));
        self.unreadable.skip(rows.iter().map(in_row))
    }

    async fn connection_counts(&self) -> Result<Vec<ConnectionCount>, StoreError> {
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

    async fn set_connection_by(&self, row: &ConnectionRow, audit: &[AuditEntry]) -> Result<WriteOutcome, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let before = kept(transaction.conn()?, &row.tenant).await?;
        let (stored, fails) = before.as_ref().map_or((None, 0), |before| (Some(&before.row), before.fails));
        let row = &row.clone().kept_verified(stored, now).remembering(stored, now);
        // What nobody has seen work since it failed is still to be reported as restored.
        let is_same = stored.is_some_and(|stored| stored.is_verified() && stored.version == row.version);
        let fails = if is_same || row.refusal.is_some() { fails } else { 0 };
        if !is_current(transaction.conn()?, row).await? || !write(transaction.conn()?, now, row, fails).await? {
            transaction.roll_back().await?;
            return Ok(WriteOutcome::ChangedMeanwhile);
        }
        if let (Some(before), true) = (before, row.is_verified() && row.refusal.is_none()) {
            report_restored(transaction.conn()?, now, &before, &row.version).await?;
        }
        audit::put(transaction.conn()?, now, audit.iter()).await?;
        transaction.commit().await?;
        Ok(WriteOutcome::Done)
    }

    async fn record_verification_by(
        &self,
        verified: (&TenantId, &str, u64),
        finding: &Verification,
        audit: &[AuditEntry],
    ) -> Result<WriteOutcome, StoreError> {
        self.record(verified, finding, false, audit).await
    }

    async fn note_fields(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        fields: &FieldKinds,
    ) -> Result<WriteOutcome, StoreError> {
        let (mut conn, _) = self.writing_at().await?;
        let sql = "UPDATE connections SET fields = $4 WHERE tenant_id = $1 AND version = $2 AND epoch = $3";
        let bounds = vec![
            Bound::Text(tenant.as_str().into()),
            Bound::Text(version.into()),
            Bound::Int(i64::try_from(epoch).unwrap_or(i64::MAX)),
            Bound::Text(json_of(fields)),
        ];
        let is_noted = sql::execute(&mut conn, sql, bounds).await? == 1;
        Ok(if is_noted { WriteOutcome::Done } else { WriteOutcome::ChangedMeanwhile })
    }

    async fn record_refusal(
        &self,
        tenant: &TenantId,
        version: &str,
        epoch: u64,
        reason: Reason,
        detail: &str,
    ) -> Result<WriteOutcome, StoreError> {
        let finding = Verification::Fails { reason, detail: detail.to_owned() };
        self.record((tenant, version, epoch), &finding, true, &[]).await
    }

    async fn take_reverifications(&self, lease: Duration, most: u32) -> Result<Vec<ConnectionRow>, StoreError> {
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

    async fn wrapped_master_key(&self) -> Result<Option<WrappedKey>, StoreError> {
        Ok(self.rotation().await?.map(|begun| begun.wrapped))
    }
}

impl Store {
    /// Notes what was found out about a connection, by verifying it or by a request of a batch.
    async fn record(
        &self,
        (tenant, version, epoch): (&TenantId, &str, u64),
        finding: &Verification,
        by_request: bool,
        audit: &[AuditEntry],
    ) -> Result<WriteOutcome, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let stored = kept(transaction.conn()?, tenant).await?;
        let Some(before) = stored.filter(|stored| stored.row.version == version && stored.row.epoch == epoch) else {
            transaction.roll_back().await?;
            return Ok(WriteOutcome::ChangedMeanwhile);
        };
        note(transaction.conn()?, now, &before, finding).await?;
        if by_request {
            keep_refusal(transaction.conn()?, now, tenant, finding).await?;
        }
        audit::put(transaction.conn()?, now, audit.iter()).await?;
        transaction.commit().await?;
        Ok(WriteOutcome::Done)
    }

    /// Keeps what a probe found, and the entries of the audit. This is no change of the connection: its epoch stays. Returns
    /// whether there is still a connection; otherwise nothing is stored.
    ///
    /// # Errors
    /// When the store does not answer; the result may be stored or not.
    pub async fn record_probe(
        &self,
        tenant: &TenantId,
        probe: &Probe,
        audit: &[AuditEntry],
    ) -> Result<bool, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let sql = "UPDATE connections SET probe = $2 WHERE tenant_id = $1";
        let bounds = vec![Bound::Text(tenant.as_str().into()), Bound::Text(json_of(probe))];
        if sql::execute(transaction.conn()?, sql, bounds).await? == 0 {
            transaction.roll_back().await?;
            return Ok(false);
        }
        audit::put(transaction.conn()?, now, audit.iter()).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns the tenants whose connections were taken from files.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tenants_of_files(&self) -> Result<Vec<TenantId>, StoreError> {
        let mut conn = self.reading().await?;
        let sql = "SELECT tenant_id FROM connections WHERE source IS NOT NULL ORDER BY tenant_id";
        let rows = sql::fetch(&mut conn, sql, vec![]).await?;
        let tenant = |row: &AnyRow| row.parsed("tenant_id");
        let in_row = |row| tenant(row).map_err(|error: StoreError| error.in_row("connections", || key_of(row)));
        self.unreadable.skip(rows.iter().map(in_row))
    }

    /// Returns every connection, by tenant.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn connections(&self) -> Result<Vec<ConnectionRow>, StoreError> {
        let mut conn = self.reading().await?;
        let rows = sql::fetch(&mut conn, "SELECT * FROM connections ORDER BY tenant_id", vec![]).await?;
        self.unreadable.skip(rows.iter().map(connection))
    }
}
