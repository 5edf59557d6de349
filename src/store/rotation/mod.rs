//! Keeps how far the replacement of the master key has come, so that it can be continued wherever it was interrupted.
//!
//! The new key is stored encrypted with the former one, so that workers read what is encrypted with either. From the first
//! step on new API keys may be encrypted with the new key, from the last one on they have to be.

mod guard;
mod model;
mod rows;

use std::time::Duration;

use super::audit::{self, AuditEntry};
use super::sql::{self, Bound, Columns, Dialect, Transaction};
use super::{Store, StoreError};
use crate::batch::TenantId;

pub(super) use self::guard::is_current;
pub use self::model::{Resealed, Rotation, RotationEnd, RotationStart, SealedRow, WrappedKey};
use self::rows::{lease_until, present_key, put_resealed, renew, rotation, sealed_row};

/// The name under which a store keeps the word that identifies the master key of its API keys.
pub const MASTER_KEY_FACT: &str = "master_key";

impl Store {
    /// Returns the replacement of the master key that was begun, unless the former key was given up since.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn rotation(&self) -> Result<Option<Rotation>, StoreError> {
        rotation(&mut *self.reading().await?, "").await
    }

    /// Begins to replace the master key, or goes on if that was begun with the same new key. No other `holder` can until
    /// `lease` is over, which each step prolongs.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn begin_rotation(
        &self,
        wrapped: &WrappedKey,
        holder: &str,
        lease: Duration,
        audit: &[AuditEntry],
    ) -> Result<RotationStart, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        let keep = Dialect::of(conn).keep();
        // Of two that begin at once, the second one waits here.
        let present = present_key(conn, keep).await?;
        let start = match rotation(conn, keep).await? {
            Some(begun) if begun.wrapped.to != wrapped.to => RotationStart::Other { to: begun.wrapped.to },
            Some(begun) if begun.done_at.is_some() => RotationStart::Done,
            Some(begun) if begun.holder != holder && begun.lease_until > now => {
                let left = u64::try_from(begun.lease_until - now).unwrap_or_default();
                RotationStart::Busy { left: Duration::from_millis(left) }
            }
            Some(_) => {
                let sql = "UPDATE master_key_rotation SET holder = $1, lease_until = $2";
                let bounds = vec![Bound::Text(holder.into()), lease_until(now, lease)];
                sql::execute(conn, sql, bounds).await?;
                RotationStart::Begun
            }
            None if present.as_deref() != Some(wrapped.from.as_str()) => RotationStart::Replaced,
            None => {
                rows::put(conn, wrapped, (holder, now, lease)).await?;
                audit::put(conn, now, audit.iter()).await?;
                RotationStart::Begun
            }
        };
        transaction.commit().await?;
        Ok(start)
    }

    /// Returns up to `most` connections with an API key that is not encrypted with the master key `to`, by tenant, after one.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sealed_otherwise(
        &self,
        to: &str,
        after: Option<&TenantId>,
        most: u32,
    ) -> Result<Vec<SealedRow>, StoreError> {
        let sql = "SELECT tenant_id, epoch, key_nonce, key_ciphertext, key_bound_to, key_id, successor FROM connections \
                   WHERE key_id <> $1 AND tenant_id > $2 ORDER BY tenant_id LIMIT $3";
        let after = after.map_or("", TenantId::as_str);
        let bounds = vec![Bound::Text(to.into()), Bound::Text(after.into()), Bound::Int(most.into())];
        let rows = sql::fetch(&mut *self.reading().await?, sql, bounds).await?;
        rows.iter().map(sealed_row).collect()
    }

    /// Stores API keys that were encrypted again, each unless its connection has changed since it was read, and prolongs the
    /// lease. Returns how many were stored; nothing if the lease has gone to another holder, and then nothing is stored.
    ///
    /// # Errors
    /// When the store does not answer; they may be stored or not.
    pub async fn put_resealed(
        &self,
        rows: &[Resealed],
        holder: &str,
        lease: Duration,
    ) -> Result<Option<usize>, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        if !renew(transaction.conn()?, holder, now, lease).await? {
            transaction.roll_back().await?;
            return Ok(None);
        }
        let mut stored = 0;
        for row in rows {
            stored += usize::from(put_resealed(transaction.conn()?, row).await?);
        }
        transaction.commit().await?;
        Ok(Some(stored))
    }

    /// Makes the new master key the store's, if every API key is encrypted with it. The entries of the audit are stored with
    /// it, or none of both.
    ///
    /// # Errors
    /// When the store does not answer; it may be done or not.
    pub async fn finish_rotation(
        &self,
        to: &str,
        (holder, lease): (&str, Duration),
        audit: &[AuditEntry],
    ) -> Result<RotationEnd, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let conn = transaction.conn()?;
        // Who stores a connection reads this row first, and so comes before or after this transaction.
        present_key(conn, Dialect::of(conn).keep()).await?;
        if !renew(conn, holder, now, lease).await? {
            transaction.roll_back().await?;
            return Ok(RotationEnd::Lost);
        }
        let count = "SELECT COUNT(*) AS n FROM connections WHERE key_id <> $1";
        let left = sql::fetch(&mut *conn, count, vec![Bound::Text(to.into())]).await?;
        if left.first().map_or(Ok(0), |row| row.int("n"))? > 0 {
            transaction.roll_back().await?;
            return Ok(RotationEnd::NotYet);
        }
        let present = "UPDATE facts SET value = $1 WHERE name = $2";
        sql::execute(&mut *conn, present, vec![Bound::Text(to.into()), Bound::Text(MASTER_KEY_FACT.into())]).await?;
        sql::execute(&mut *conn, "UPDATE master_key_rotation SET done_at = $1", vec![Bound::Int(now)]).await?;
        audit::put(conn, now, audit.iter()).await?;
        transaction.commit().await?;
        Ok(RotationEnd::Done)
    }

    /// Gives up the former master key once the key `to` has replaced it; returns whether there was one. The entries of the
    /// audit are stored with it, or none of both.
    ///
    /// # Errors
    /// When the store does not answer; it may be given up or not.
    pub async fn forget_former_key(&self, to: &str, audit: &[AuditEntry]) -> Result<bool, StoreError> {
        let mut transaction = Transaction::begin(&self.writers, &self.clock).await?;
        let now = transaction.now;
        let sql = "DELETE FROM master_key_rotation WHERE to_key = $1 AND done_at IS NOT NULL";
        if sql::execute(transaction.conn()?, sql, vec![Bound::Text(to.into())]).await? == 0 {
            transaction.roll_back().await?;
            return Ok(false);
        }
        audit::put(transaction.conn()?, now, audit.iter()).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
