//! Stores tokens by the hash of their secret.

use sqlx::any::AnyRow;

use super::super::actor::Role;
use super::super::audit::{self, AuditEntry};
use super::super::sql::{self, Bound, Columns, Transaction};
use super::super::{Store, StoreError};
use crate::batch::TenantId;

/// How long the time of a token's last use is not written again, in milliseconds.
const USE_WRITTEN_EVERY: i64 = 60_000;

/// A token that is created.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its name, by which it is revoked.
    pub name: String,
    /// The SHA-256 of its secret, as hexadecimal digits.
    pub hash: String,
    /// What its holder may do.
    pub role: Role,
    /// The only tenant of which its holder may name anything; every tenant if it is empty.
    pub tenant: Option<TenantId>,
    /// Who created it.
    pub created_by: String,
    /// How long it is valid, in milliseconds; forever if it is empty.
    pub valid_for: Option<i64>,
}

/// A token as it is stored; times are milliseconds on the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its secret, as hexadecimal digits.
    pub hash: String,
    /// What its holder may do.
    pub role: Role,
    /// The only tenant of which its holder may name anything.
    pub tenant: Option<TenantId>,
    /// When it was created.
    pub created_at: i64,
    /// Who created it.
    pub created_by: String,
    /// When it expires.
    pub expires_at: Option<i64>,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<i64>,
}

/// Reads a token by the hash of its secret.
const BY_HASH: &str = "SELECT * FROM tokens WHERE hash = $1";

impl Store {
    /// Creates a token; returns it, or nothing where its name is taken, also by one that was revoked.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn create_token(&self, token: &NewToken, entry: &AuditEntry) -> Result<Option<TokenRow>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let sql = "INSERT INTO tokens (name, hash, role, tenant_id, created_at, created_by, expires_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING RETURNING *";
        let bounds = vec![
            Bound::Text(token.name.clone()),
            Bound::Text(token.hash.clone()),
            Bound::Text(token.role.name().into()),
            Bound::MaybeText(token.tenant.as_ref().map(|tenant| tenant.as_str().into())),
            Bound::Int(now),
            Bound::Text(token.created_by.clone()),
            Bound::MaybeInt(token.valid_for.map(|valid| now.saturating_add(valid))),
        ];
        let rows = sql::fetch(&mut *conn, sql, bounds).await?;
        let created = rows.first().map(read).transpose()?;
        audit::put(conn, now, created.iter().map(|_| entry)).await?;
        transaction.commit().await?;
        Ok(created)
    }

    /// Returns the token whose secret has this hash.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn token_of(&self, hash: &str) -> Result<Option<TokenRow>, StoreError> {
        let rows = sql::fetch(&mut *self.reading().await?, BY_HASH, vec![Bound::Text(hash.into())]).await?;
        rows.first().map(read).transpose()
    }

    /// Returns up to `most` tokens by name, after one of this name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn tokens_after(&self, name: &str, most: u32) -> Result<Vec<TokenRow>, StoreError> {
        let sql = "SELECT * FROM tokens WHERE name > $1 ORDER BY name LIMIT $2";
        let bounds = vec![Bound::Text(name.into()), Bound::Int(most.into())];
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        rows.iter().map(read).collect()
    }

    /// Revokes a token, from now on and for every worker; returns it, or nothing where there is none of this name that was
    /// not revoked before.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn revoke_token(&self, name: &str, entry: &AuditEntry) -> Result<Option<TokenRow>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let sql = "UPDATE tokens SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL RETURNING *";
        let rows = sql::fetch(transaction.conn()?, sql, vec![Bound::Text(name.into()), Bound::Int(now)]).await?;
        let revoked = rows.first().map(read).transpose()?;
        audit::put(transaction.conn()?, now, revoked.iter().map(|_| entry)).await?;
        transaction.commit().await?;
        Ok(revoked)
    }

    /// Notes that a token is used now, unless that was noted within the last minute.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn note_token_use(&self, token: &TokenRow, now: i64) -> Result<(), StoreError> {
        if token.last_used_at.is_some_and(|last| now.saturating_sub(last) < USE_WRITTEN_EVERY) {
            return Ok(());
        }
        let sql =
            "UPDATE tokens SET last_used_at = $2 WHERE name = $1 AND (last_used_at IS NULL OR last_used_at <= $3)";
        let due = now.saturating_sub(USE_WRITTEN_EVERY);
        let bounds = vec![Bound::Text(token.name.clone()), Bound::Int(now), Bound::Int(due)];
        sql::execute(&mut *self.writing().await?, sql, bounds).await.map(drop)
    }
}

fn read(row: &AnyRow) -> Result<TokenRow, StoreError> {
    token(row).map_err(|error| error.in_row("tokens", || row.text("name").unwrap_or_else(|_| "?".into())))
}

/// Reads a token, also one that was joined to another row.
pub(super) fn token(row: &AnyRow) -> Result<TokenRow, StoreError> {
    let tenant = row.maybe_text("tenant_id")?;
    Ok(TokenRow {
        name: row.text("name")?,
        hash: row.text("hash")?,
        role: row.parsed("role")?,
        tenant: tenant.map(|id| TenantId::new(&id)).transpose().map_err(|_| StoreError::malformed("tenant_id"))?,
        created_at: row.int("created_at")?,
        created_by: row.text("created_by")?,
        expires_at: row.maybe_int("expires_at")?,
        revoked_at: row.maybe_int("revoked_at")?,
        last_used_at: row.maybe_int("last_used_at")?,
    })
}
