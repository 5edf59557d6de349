//! Stores the short-lived links of tenants by the hash of their secret.

use sqlx::any::AnyRow;

use super::super::audit::{self, AuditEntry};
use super::super::sql::{self, Bound, Columns, Transaction};
use super::super::{Store, StoreError};
use crate::batch::TenantId;

/// How long links are kept after their end, in milliseconds.
const KEPT: i64 = 86_400_000;

/// A link that is created.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Its id, by which it is revoked.
    pub id: String,
    /// The SHA-256 of its secret, as hexadecimal digits.
    pub hash: String,
    /// The tenant that it is for.
    pub tenant: TenantId,
    /// Who created it.
    pub created_by: String,
    /// How long it is valid, in milliseconds.
    pub valid_for: i64,
}

/// A link as it is stored; times are milliseconds on the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// Its id.
    pub id: String,
    /// The tenant that it is for.
    pub tenant: TenantId,
    /// When it was created.
    pub created_at: i64,
    /// Who created it.
    pub created_by: String,
    /// When it expires.
    pub expires_at: i64,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

impl Store {
    /// Creates a link, and forgets some of those that ended more than a day ago.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn create_link(&self, link: &NewLink, entry: &AuditEntry) -> Result<LinkRow, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let forget = "DELETE FROM tenant_links WHERE id IN (SELECT id FROM tenant_links WHERE expires_at < $1 \
                      ORDER BY expires_at LIMIT 100)";
        sql::execute(&mut *conn, forget, vec![Bound::Int(now.saturating_sub(KEPT))]).await?;
        let sql = "INSERT INTO tenant_links (id, hash, tenant_id, created_at, created_by, expires_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) RETURNING *";
        let bounds = vec![
            Bound::Text(link.id.clone()),
            Bound::Text(link.hash.clone()),
            Bound::Text(link.tenant.as_str().into()),
            Bound::Int(now),
            Bound::Text(link.created_by.clone()),
            Bound::Int(now.saturating_add(link.valid_for)),
        ];
        let rows = sql::fetch(&mut *conn, sql, bounds).await?;
        let created = rows.first().map_or(Err(StoreError::malformed("tenant_links")), read)?;
        audit::put(conn, now, std::iter::once(entry)).await?;
        transaction.commit().await?;
        Ok(created)
    }

    /// Returns the link whose secret has this hash.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn link_of(&self, hash: &str) -> Result<Option<LinkRow>, StoreError> {
        let sql = "SELECT * FROM tenant_links WHERE hash = $1";
        let rows = sql::fetch(&mut *self.reading().await?, sql, vec![Bound::Text(hash.into())]).await?;
        rows.first().map(read).transpose()
    }

    /// Returns up to `most` of the links of a tenant, the newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn links_of(&self, tenant: &TenantId, most: u32) -> Result<Vec<LinkRow>, StoreError> {
        let sql = "SELECT * FROM tenant_links WHERE tenant_id = $1 ORDER BY created_at DESC, id LIMIT $2";
        let bounds = vec![Bound::Text(tenant.as_str().into()), Bound::Int(most.into())];
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        rows.iter().map(read).collect()
    }

    /// Revokes a link of a tenant; returns it, or nothing where there is none of this id that was not revoked before.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revoke_link(
        &self,
        tenant: &TenantId,
        id: &str,
        entry: &AuditEntry,
    ) -> Result<Option<LinkRow>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let sql = "UPDATE tenant_links SET revoked_at = $3 WHERE id = $1 AND tenant_id = $2 AND revoked_at IS NULL \
                   RETURNING *";
        let bounds = vec![Bound::Text(id.into()), Bound::Text(tenant.as_str().into()), Bound::Int(now)];
        let rows = sql::fetch(transaction.conn()?, sql, bounds).await?;
        let revoked = rows.first().map(read).transpose()?;
        audit::put(transaction.conn()?, now, revoked.iter().map(|_| entry)).await?;
        transaction.commit().await?;
        Ok(revoked)
    }
}

fn read(row: &AnyRow) -> Result<LinkRow, StoreError> {
    Ok(LinkRow {
        id: row.text("id")?,
        tenant: row.parsed("tenant_id")?,
        created_at: row.int("created_at")?,
        created_by: row.text("created_by")?,
        expires_at: row.int("expires_at")?,
        revoked_at: row.maybe_int("revoked_at")?,
    })
}
